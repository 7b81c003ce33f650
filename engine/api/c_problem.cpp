#include "engine/api/c_problem.h"

#include <fmt/format.h>

#include <cstdint>

#include "engine/api/guarded.h"

namespace otnfm::embed {
namespace {

template <class T>
AnyMatrix matrix_of(const void* data, std::int64_t rows, std::int64_t columns, std::int64_t stride) {
  View<const T> view(static_cast<const T*>(data), {rows, columns});
  if (stride != 0) view.stride[0] = stride;
  return view;
}

AnyMatrix matrix_of(otnfm_dtype dtype, const char* name, const void* data, std::int64_t rows, std::int64_t columns,
                    std::int64_t stride) {
  const std::string shape = fmt::format("[{}, {}]", rows, columns);
  if (rows < 0 || columns < 0) throw InputError(fmt::format("{}: a matrix of {}", name, shape));
  if (data == nullptr && rows > 0 && columns > 0) throw InputError(fmt::format("{} {} is null", name, shape));
  if (stride != 0 && stride < columns)
    throw InputError(fmt::format("{} {}: its row stride is {}", name, shape, stride));
  switch (dtype) {
    case OTNFM_FLOAT32:
      return matrix_of<float>(data, rows, columns, stride);
    case OTNFM_FLOAT64:
      return matrix_of<double>(data, rows, columns, stride);
    case OTNFM_BFLOAT16:
      return matrix_of<bfloat16>(data, rows, columns, stride);
    case OTNFM_INT32:
      return matrix_of<std::int32_t>(data, rows, columns, stride);
    case OTNFM_INT64:
      return matrix_of<std::int64_t>(data, rows, columns, stride);
  }
  throw InputError("otnfm_problem: unknown dtype " + std::to_string(static_cast<int>(dtype)));
}

otnfm::Cost cost_of(otnfm_cost cost) {
  switch (cost) {
    case OTNFM_SQUARED_EUCLIDEAN:
      return otnfm::Cost::squared_euclidean;
    case OTNFM_EUCLIDEAN:
      return otnfm::Cost::euclidean;
    case OTNFM_NEGATIVE_DOT:
      return otnfm::Cost::negative_dot;
  }
  throw InputError("otnfm_problem: unknown cost " + std::to_string(static_cast<int>(cost)));
}

otnfm_problem usual_problem() {
  otnfm_problem usual = {};
  usual.size = sizeof(usual);
  return usual;
}

}  // namespace

Given given_of(const otnfm_problem& from) {
  Given given;
  given.c = read(from, usual_problem(), "otnfm_problem");
  const otnfm_problem& c = given.c;
  if (c.costs != nullptr) {
    require(c.source == nullptr && c.target == nullptr, "otnfm_problem: either points or costs");
    given.problem = Problem::from_matrix(matrix_of(c.dtype, "costs", c.costs, c.n, c.m, c.costs_stride));
  } else {
    given.problem =
        Problem::from_points(matrix_of(c.dtype, "source", c.source, c.n, c.d, c.source_stride),
                             matrix_of(c.dtype, "target", c.target, c.m, c.d, c.target_stride), cost_of(c.cost));
  }
  if (c.source_weights != nullptr) given.source_weights = {c.source_weights, static_cast<std::size_t>(c.n)};
  if (c.target_weights != nullptr) given.target_weights = {c.target_weights, static_cast<std::size_t>(c.m)};
  return given;
}

}  // namespace otnfm::embed

void otnfm_problem_init(otnfm_problem* problem, size_t size) {
  otnfm::embed::write(otnfm::embed::usual_problem(), problem, size);
}

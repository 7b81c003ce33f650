#include "tools/couple_problem.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "kernels/error.h"

namespace otnfm {
namespace {

template <class T>
AnyMatrix matrix_at(const NpyArray& array, std::int64_t index, std::int64_t rows, std::int64_t columns) {
  return View<const T>(reinterpret_cast<const T*>(array.bytes.data()) + index * rows * columns, {rows, columns});
}

// Matrix `index` of a stack, or the matrix itself.
AnyMatrix matrix_of(const NpyArray& array, std::int64_t index, const std::string& path) {
  const std::size_t rank = array.shape.size();
  const std::int64_t rows = array.shape[rank - 2], columns = array.shape[rank - 1];
  switch (array.dtype) {
    case DType::float32:
      return matrix_at<float>(array, index, rows, columns);
    case DType::float64:
      return matrix_at<double>(array, index, rows, columns);
    case DType::int32:
      return matrix_at<std::int32_t>(array, index, rows, columns);
    case DType::int64:
      return matrix_at<std::int64_t>(array, index, rows, columns);
    default:
      throw RunError(path + ": was read as " + name_of(array.dtype));
  }
}

NpyArray read(const std::string& path, bool batch) {
  NpyArray array = read_array(path);
  const std::size_t wanted = batch ? 3 : 2;
  if (array.shape.size() != wanted)
    throw InputError(fmt::format("{}: has shape [{}], wanted {}{}", path, fmt::join(array.shape, ", "),
                                 batch ? "a stack of matrices for --batch" : "a matrix",
                                 !batch && array.shape.size() == 3 ? " (add --batch for a stack of problems)" : ""));
  return array;
}

// A header alone says how many problems without a number there are, each of which is an answer to report.
std::int64_t problems_in(const NpyArray& array, const std::string& path) {
  constexpr std::int64_t kMostEmpty = std::int64_t{1} << 20;
  const std::int64_t count = array.shape[0];
  if (array.bytes.empty() && count > kMostEmpty)
    throw InputError(fmt::format("{}: has shape [{}]: {} problems without a number in them, more than {}", path,
                                 fmt::join(array.shape, ", "), count, kMostEmpty));
  return count;
}

std::vector<double> read_weights(const std::string& flag, const std::string& path, std::int64_t count) {
  if (path.empty()) return {};
  std::vector<double> weights = read_vector(path);
  if (static_cast<std::int64_t>(weights.size()) != count)
    throw InputError(
        fmt::format("{} {}: has shape [{}], wanted [{}], a weight a point", flag, path, weights.size(), count));
  return weights;
}

}  // namespace

Cost cost_of_name(const std::string& name) {
  if (name == "squared-euclidean") return Cost::squared_euclidean;
  if (name == "euclidean") return Cost::euclidean;
  if (name == "negative-dot") return Cost::negative_dot;
  throw InputError("--cost-function " + name + ": wanted squared-euclidean, euclidean or negative-dot");
}

OpenedProblems::OpenedProblems(const ProblemFlags& flags) {
  const bool points = !flags.source.empty() || !flags.target.empty();
  if (points + !flags.cost.empty() + !flags.lap.empty() != 1 ||
      (points && (flags.source.empty() || flags.target.empty())))
    throw InputError("name one problem: --source and --target, or --cost, or --lap");
  if (!flags.lap.empty() && flags.batch) throw InputError("--batch goes with .npy files, not with --lap");
  if (points) {
    first_ = read(flags.source, flags.batch);
    second_ = read(flags.target, flags.batch);
    make_floats_of_one_type(first_, flags.source, second_, flags.target);
    n_ = first_.shape[first_.shape.size() - 2];
    m_ = second_.shape[second_.shape.size() - 2];
    const std::int64_t count = flags.batch ? problems_in(first_, flags.source) : 1;
    if (flags.batch && problems_in(second_, flags.target) != count)
      throw InputError(
          fmt::format("{} holds {} problems, {} holds {}", flags.source, count, flags.target, second_.shape[0]));
    for (std::int64_t b = 0; b < count; ++b)
      problems_.push_back(Problem::from_points(matrix_of(first_, b, flags.source), matrix_of(second_, b, flags.target),
                                               cost_of_name(flags.cost_function)));
  } else if (!flags.cost.empty()) {
    first_ = read(flags.cost, flags.batch);
    n_ = first_.shape[first_.shape.size() - 2];
    m_ = first_.shape.back();
    const std::int64_t count = flags.batch ? problems_in(first_, flags.cost) : 1;
    for (std::int64_t b = 0; b < count; ++b)
      problems_.push_back(Problem::from_matrix(matrix_of(first_, b, flags.cost)));
  } else {
    lap_ = read_lap(flags.lap);
    n_ = m_ = lap_->n;
    problems_.push_back(Problem::from_matrix(lap_->view()));
  }
  source_weights_ = read_weights("--source-weights", flags.source_weights, n_);
  target_weights_ = read_weights("--target-weights", flags.target_weights, m_);
}

}  // namespace otnfm

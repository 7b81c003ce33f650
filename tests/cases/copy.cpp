#include "kernels/copy.h"

#include <cmath>
#include <utility>

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

void identity(Values& v) {
  v["y"] = v["x"];
}

/// To 8 significant bits, ties to even (the default rounding mode of nearbyint).
void round_to_bfloat16(Values& v) {
  for (std::size_t i = 0; i < v["x"].size(); ++i) {
    int exponent = 0;
    const double mantissa = std::frexp(v["x"][i], &exponent);
    v["y"][i] = std::ldexp(std::nearbyint(std::ldexp(mantissa, 8)), exponent - 8);
  }
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::int64_t B, std::int64_t d, bool bench) {
    const double n = static_cast<double>(B * d);
    for (const auto& [from, to] : {std::pair{DType::float32, DType::float32},
                                   {DType::bfloat16, DType::float32},
                                   {DType::float32, DType::bfloat16},
                                   {DType::bfloat16, DType::bfloat16}})
      list.push_back({.op = "copy",
                      .variant = std::string(from == to ? "" : "to ") + name_of(to) + " " + label({B, d}),
                      .buffers = {{"x", Role::input, {B, d}, from}, {"y", Role::output, {B, d}, to}},
                      .run = [](Stream& s, const Buffers& b) { copy(s, {.x = b.stored("x"), .y = b.stored("y")}); },
                      .reference = from == DType::float32 && to == DType::bfloat16 ? round_to_bfloat16 : identity,
                      .tolerance = 0,
                      .same_on_every_backend = true,
                      .bytes = static_cast<double>(size_of(from) + size_of(to)) * n,
                      .bench = bench});
  };
  for (const auto& [B, d] : odd_shapes()) add(B, d, false);
  add(4096, 784, true);
  // Integers of 11 bits: one in eight lies halfway between two bfloat16.
  Case ties = list.back();
  ties.variant = "to bfloat16, ties 31x33";
  ties.reference = round_to_bfloat16;
  ties.buffers = {{"x", Role::input, {31, 33}, DType::float32, Fill::integers(1024, 2048)},
                  {"y", Role::output, {31, 33}, DType::bfloat16}};
  ties.bench = false;
  list.push_back(ties);
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases

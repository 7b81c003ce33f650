#include "kernels/adamw.h"

#include <cmath>

#include "tests/cases/case.h"

namespace otnfm::cases {
namespace {

struct Settings {
  std::int64_t decayed = 0;
  Schedule schedule = {};
  float beta1 = 0.9f, beta2 = 0.999f, weight_decay = 0, ema_decay = 0.999f;
};

/// The method's formulas in double, at the values that the op gets as floats.
Reference reference(Settings a, bool clipped) {
  return [=](Values& v) {
    const double k = v["step"][0], scale = clipped ? v["clip_scale"][0] : 1;
    double rate = a.schedule.base;
    const double warmup = static_cast<double>(a.schedule.warmup), total = static_cast<double>(a.schedule.total);
    if (k < warmup) {
      rate *= (k + 1) / warmup;
    } else if (a.schedule.kind == Schedule::Kind::cosine) {
      const double progress = std::min(1.0, (k - warmup) / (total - warmup)), last = a.schedule.final_fraction;
      rate *= last + (1 - last) * (1 + std::cos(3.14159265358979323846 * progress)) / 2;
    }
    const double decay_of_ema = std::min(double{a.ema_decay}, (1 + k) / (10 + k));
    for (std::size_t i = 0; i < v["value"].size(); ++i) {
      const double g = scale * v["gradient"][i];
      double &value = v["value"][i], &m = v["m"][i], &second = v["v"][i], &ema = v["ema"][i];
      m = a.beta1 * m + (1.0 - a.beta1) * g;
      second = a.beta2 * second + (1.0 - a.beta2) * g * g;
      const double m_hat = m / (1 - std::pow(a.beta1, k + 1)), v_hat = second / (1 - std::pow(a.beta2, k + 1));
      const double decay = static_cast<std::int64_t>(i) < a.decayed ? double{a.weight_decay} : 0.0;
      value -= rate * (m_hat / (std::sqrt(v_hat) + double{1e-8f}) + decay * value);
      ema += (1 - decay_of_ema) * (value - ema);
    }
    if (v.count("working") != 0) v["working"] = v["value"];
  };
}

std::vector<Case> cases() {
  std::vector<Case> list;
  const auto add = [&](std::int64_t n, Settings a, std::int64_t steps, bool clipped, bool bench, const char* what,
                       bool working = false) {
    // Where there are few weights, of one sign, so that no sum cancels to nearly 0.
    const Fill fill = n < 31 ? Fill::uniform(0.5, 1.5) : Fill::normal();
    std::vector<Buffer> buffers = {
        {"value", Role::in_out, {n}, DType::float32, fill},
        {"m", Role::in_out, {n}, DType::float32, fill},
        {"v", Role::in_out, {n}, DType::float32, Fill::uniform(0.01, 2)},
        {"ema", Role::in_out, {n}, DType::float32, fill},
        {"gradient", Role::input, {n}, DType::float32, fill},
        {"step", Role::input, {1}, DType::uint64, Fill::integers(0, static_cast<double>(steps))}};
    if (clipped) buffers.push_back({"clip_scale", Role::input, {1}, DType::float32, Fill::uniform(0.1, 1)});
    // Off by its rounding; what it is rounded from is held to more without it.
    if (working) buffers.push_back({"working", Role::output, {n}, DType::bfloat16});
    list.push_back({.op = "adamw",
                    .variant = label({n}) + " " + what,
                    .buffers = buffers,
                    .run =
                        [=](Stream& s, const Buffers& b) {
                          AdamW arguments = {.value = b.out("value"),
                                             .m = b.out("m"),
                                             .v = b.out("v"),
                                             .ema = b.out("ema"),
                                             .gradient = b.in("gradient"),
                                             .step = b.view<std::uint64_t>("step"),
                                             .decayed = a.decayed,
                                             .schedule = a.schedule,
                                             .beta1 = a.beta1,
                                             .beta2 = a.beta2,
                                             .weight_decay = a.weight_decay,
                                             .ema_decay = a.ema_decay};
                          if (clipped) arguments.clip_scale = b.in("clip_scale");
                          if (b.placed.count("working")) arguments.working = b.view<bfloat16>("working");
                          adamw(s, arguments);
                        },
                    .reference = reference(a, clipped),
                    .tolerance = working ? 4e-3 : 1e-6,
                    .norm_tolerance = working ? 4e-3 : 1e-6,
                    .bytes = (working ? 38.0 : 36.0) * static_cast<double>(n),
                    .flops = 20.0 * static_cast<double>(n),
                    .bench = bench});
  };
  const Schedule cosine = {
      .kind = Schedule::Kind::cosine, .base = 2e-3f, .final_fraction = 0.1f, .warmup = 20, .total = 200};
  for (std::int64_t n : {0, 1, 3, 4, 31, 33, 257, 1031}) {
    add(n, {.decayed = n / 2, .weight_decay = 0.1f}, 3000, true, false, "half decayed");
    add(n, {.decayed = n, .schedule = cosine, .beta1 = 0.8f, .beta2 = 0.95f, .weight_decay = 0.01f}, 250, false, false,
        "cosine, not clipped");
    add(n, {.decayed = n / 2, .weight_decay = 0.1f}, 3000, true, false, "with a working copy", true);
  }
  add(33, {.ema_decay = 0.5f}, 1, true, false, "first step");
  add(33, {.beta1 = 0, .beta2 = 0, .ema_decay = 0}, 100, true, false, "no memory");
  for (std::int64_t n : {13000, 35000, 4000000})
    add(n, {.decayed = n, .weight_decay = 0.01f}, 3000, true, true, "all decayed");
  add(4000000, {.decayed = 4000000, .weight_decay = 0.01f}, 3000, true, true, "with a working copy", true);

  list.push_back({.op = "advance_step",
                  .variant = "1",
                  .buffers = {{"step", Role::in_out, {1}, DType::uint64, Fill::integers(0, std::int64_t{1} << 40)}},
                  .run = [](Stream& s, const Buffers& b) { advance_step(s, {.step = b.view<std::uint64_t>("step")}); },
                  .reference = [](Values& v) { v["step"][0] += 1; },
                  .tolerance = 0,
                  .same_on_every_backend = true,
                  .bytes = 16,
                  .flops = 1});
  return list;
}

const Registration registration(cases());

}  // namespace
}  // namespace otnfm::cases

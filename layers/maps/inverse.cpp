#include "layers/maps/inverse.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "kernels/inverse_step.h"

namespace otnfm {
namespace {

void require_finite(View<const float> y) {
  for (std::int64_t i = 0; i < y.rows(); ++i)
    for (std::int64_t j = 0; j < y.columns(); ++j)
      if (!std::isfinite(y(i, j)))
        throw InputError(fmt::format("inverse: row {}, column {} of y is {}", i, j, y(i, j)));
}

/// The root mean square of the rows' norms: what a residual of a row near 0 is measured by.
double typical_norm(View<const float> y) {
  double sum = 0;
  for (std::int64_t i = 0; i < y.rows(); ++i)
    for (std::int64_t j = 0; j < y.columns(); ++j) {
      const double value = y(i, j);
      sum += value * value;
    }
  return y.rows() > 0 ? std::sqrt(sum / static_cast<double>(y.rows())) : 0;
}

bool inverts(const FlowFamily& family, const nlohmann::json& configuration) {
  try {
    return family.make(configuration)->inversion() != Inversion::none;
  } catch (const InputError&) {  // it does not know the key
    return false;
  }
}

}  // namespace

void require_invertible(const Flow& flow) {
  if (flow.inversion() != Inversion::none) return;
  // Some families invert as they are, some on demand.
  std::string invertible;
  for (const FlowFamily& family : flow_families())
    for (const nlohmann::json& more : {nlohmann::json::object(), nlohmann::json({{"invertible", true}})}) {
      nlohmann::json configuration = more;
      configuration["family"] = family.name;
      if (!inverts(family, configuration)) continue;
      invertible += (invertible.empty() ? "" : ", ") + std::string(family.name);
      if (!more.empty()) invertible += " with \"invertible\": true";
      break;
    }
  const std::string name = flow.configuration().value("family", std::string("unknown"));
  throw InputError(fmt::format("this flow of family {} is not known to be invertible; {}", name,
                               invertible.empty() ? "no family of this build is" : "families that are: " + invertible));
}

// One tape a block, all on the same buffers: y is the block's output, x the iterate.
struct FlowInverse::FixedPoint {
  struct Block {
    std::unique_ptr<Tape> tape;
    Tensor image;
  };
  std::vector<Block> blocks;
  Memory memory;
  View<float> x, history, outcome;
  View<double> state;
  std::vector<float> outcomes;

  FixedPoint(Flow& flow, Device device, const FlowBatch& batch) : outcomes(static_cast<std::size_t>(2 * batch.rows())) {
    const std::int64_t rows = batch.rows(), d = flow.dimension(), width = InverseStep::kHistoryRows * d;
    const std::int64_t states = rows * InverseStep::kStateSize;
    memory = Memory(device,
                    static_cast<std::size_t>(states) * sizeof(double) +
                        static_cast<std::size_t>(rows * (d + width + 2)) * sizeof(float),
                    "the inverse of a batch");
    state = View<double>(reinterpret_cast<double*>(memory.data()), {rows, InverseStep::kStateSize});
    x = View<float>(reinterpret_cast<float*>(state.data + states), {rows, d});
    history = View<float>(x.data + rows * d, {rows, width});
    outcome = View<float>(history.data + rows * width, {rows, 2});
    Stream stream(device);
    zero_bytes(stream, memory.data(), memory.bytes());
    stream.synchronize();
    for (std::int64_t k = 0; k < flow.block_count(); ++k) {
      Block block{std::make_unique<Tape>(device, Tape::Options{.training = false}), {}};
      block.image = flow.forward_block(*block.tape, k, block.tape->external(batch.t), block.tape->external(x));
      block.tape->keep(block.image);
      block.tape->plan();
      blocks.push_back(std::move(block));
    }
  }
};

FlowInverse::FlowInverse(Flow& flow, Device device, std::int64_t batch, const InverseOptions& options)
    : dimension_(flow.dimension()),
      block_count_(flow.block_count()),
      coordinates_(flow.coordinates),
      options_(options),
      stream_(device),
      batch_(device, batch, dimension_) {
  require_invertible(flow);
  if (!(options.tolerance > 0) || options.max_iterations < 1)
    throw InputError(fmt::format("inverse: a tolerance of {} and {} iterations: both must be positive",
                                 options.tolerance, options.max_iterations));
  if (flow.inversion() == Inversion::fixed_point) {
    fixed_point_ = std::make_unique<FixedPoint>(flow, device, batch_);
    return;
  }
  tape_ = std::make_unique<Tape>(device, Tape::Options{.training = false});
  const Tensor t = tape_->external(batch_.t);
  x_ = tape_->external(batch_.x);
  for (std::int64_t k = block_count_; k-- > 0;) x_ = flow.inverse_block(*tape_, k, t, x_);
  tape_->keep(x_);
  tape_->plan();
}

FlowInverse::~FlowInverse() = default;

void FlowInverse::operator()(View<const float> t, View<const float> y, View<float> x) {
  require_flow_rows("FlowInverse", dimension_, t, y, x);
  require_finite(y);
  if (coordinates_.identity()) return standardised(t, y, x);
  std::vector<float> memory(static_cast<std::size_t>(y.size()));
  const View<float> u(memory.data(), {y.rows(), y.columns()});
  coordinates_.enter_at(t, y, u);
  standardised(t, View<const float>(u), u);
  coordinates_.source.undo(View<const float>(u), x);
}

void FlowInverse::standardised(View<const float> t, View<const float> y, View<float> x) {
  require_flow_rows("FlowInverse", dimension_, t, y, x);
  require_finite(y);
  const double scale = typical_norm(y);
  report_ = {};
  if (fixed_point_) report_.iterations.assign(static_cast<std::size_t>(block_count_), 0);
  for (std::int64_t begin = 0; begin < y.rows(); begin += batch_.rows()) {
    const std::int64_t count = std::min(batch_.rows(), y.rows() - begin);
    batch_.upload(stream_, t, y, begin, count);
    if (fixed_point_)
      solve_fixed_points(count, scale);
    else
      tape_->run(stream_);
    copy_rows(stream_, x.row_slice(begin, count), fixed_point_ ? batch_.x : tape_->view(x_), count);
    stream_.synchronize();
  }
}

void FlowInverse::solve_fixed_points(std::int64_t count, double scale) {
  FixedPoint& f = *fixed_point_;
  const auto tolerance = static_cast<float>(options_.tolerance);
  for (std::int64_t k = block_count_; k-- > 0;) {
    const FixedPoint::Block& block = f.blocks[static_cast<std::size_t>(k)];
    copy_rows(stream_, f.x, batch_.x, f.x.rows());
    zero_bytes(stream_, f.state.data, static_cast<std::size_t>(f.state.size()) * sizeof(double));
    float worst = INFINITY;
    std::int64_t missing = count;
    int iterations = 0;
    for (; missing > 0 && iterations < options_.max_iterations; ++iterations) {
      block.tape->run(stream_);
      inverse_step(stream_, {.y = batch_.x.row_slice(0, count),
                             .image = block.tape->view(block.image).row_slice(0, count),
                             .x = f.x.row_slice(0, count),
                             .history = f.history.row_slice(0, count),
                             .state = f.state.row_slice(0, count),
                             .outcome = f.outcome.row_slice(0, count),
                             .mixing = options_.mixing,
                             .tolerance = tolerance,
                             .scale = static_cast<float>(scale)});
      copy_bytes(stream_, f.outcomes.data(), f.outcome.data, static_cast<std::size_t>(2 * count) * sizeof(float));
      stream_.synchronize();
      worst = 0;
      missing = 0;
      for (std::int64_t i = 0; i < count; ++i) {
        const float error = f.outcomes[static_cast<std::size_t>(2 * i)];
        if (f.outcomes[static_cast<std::size_t>(2 * i + 1)] == 0) ++missing;
        if (!(error <= worst)) worst = error;  // a NaN stays
      }
    }
    if (missing > 0)
      throw RunError(
          fmt::format("inverse: block {} of {} did not converge in {} of {} rows: relative residual {:.3g} "
                      "after {} iterations (wanted {:.3g})",
                      k + 1, block_count_, missing, count, worst, iterations, options_.tolerance));
    report_.residual = std::max(report_.residual, static_cast<double>(worst));
    int& most = report_.iterations[static_cast<std::size_t>(k)];
    most = std::max(most, iterations);
    copy_rows(stream_, batch_.x, f.x, f.x.rows());
  }
}

}  // namespace otnfm

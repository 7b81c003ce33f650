#include "engine/generate/pass.h"

#include <vector>

#include "engine/data/gaussian_density.h"
#include "engine/generate/log_likelihood.h"
#include "kernels/conv2d.h"
#include "kernels/elementwise.h"
#include "kernels/fill.h"
#include "kernels/matmul.h"
#include "kernels/reduce.h"

namespace otnfm {

struct PassDensity {
  Memory memory;
  View<const float> matrix, bias;
  float constant = 0;

  PassDensity(const Model& model, Device device) {
    const GaussianDensity::Whitening host = data_density(model).whitening();
    constant = static_cast<float>(host.constant - model.flow->coordinates.target.log_volume());
    if (host.matrix.empty()) return;
    const auto d = static_cast<std::int64_t>(host.bias.size());
    memory = Memory(device, (host.matrix.size() + host.bias.size()) * sizeof(float), "a Gaussian source's density");
    float* data = reinterpret_cast<float*>(memory.data());
    matrix = View<const float>(data, {d, d});
    bias = View<const float>(data + d * d, {d});
    Stream stream(device);
    copy_bytes(stream, data, host.matrix.data(), host.matrix.size() * sizeof(float));
    copy_bytes(stream, data + d * d, host.bias.data(), host.bias.size() * sizeof(float));
    stream.synchronize();
  }
};

namespace {

/// x0 with F(t, x0) = y, for an inverse in closed form; and, where a density is given, log p(y) [B, 1] to `log_prob`.
Tensor record_inverse(Tape& tape, Flow& flow, Tensor t, Tensor y, const PassDensity* density, Tensor* log_prob) {
  Tensor x = y;
  std::vector<Tensor> log_determinants;
  for (std::int64_t k = flow.block_count(); k-- > 0;) {
    if (density == nullptr) {
      x = flow.inverse_block(tape, k, t, x);
      continue;
    }
    const BlockWithLogDet block = flow.inverse_block_with_log_det(tape, k, t, x);
    x = block.y;
    log_determinants.push_back(block.log_det);
  }
  if (density == nullptr) return x;
  Tensor z = x;
  if (density->matrix.data != nullptr)
    z = linear(tape, x, tape.external(density->matrix), tape.external(density->bias));
  const Tensor squares = tape.make({y.rows(), 1});
  *log_prob = tape.make({y.rows(), 1});
  tape.record(reduce_rows, ReduceRows{.x = z.view(), .y = squares.flat(), .reduction = Reduction::sum_of_squares});
  tape.record(fill, Fill{.y = log_prob->view(), .value = density->constant});
  tape.record(axpby, Axpby{.x = squares.view(), .y = log_prob->view(), .alpha = -0.5f, .beta = 1});
  for (const Tensor& log_determinant : log_determinants)
    tape.record(axpby, Axpby{.x = log_determinant.view(), .y = log_prob->view(), .alpha = 1, .beta = 1});
  return x;
}

}  // namespace

PassMemory::PassMemory(const Model& model, Device device, std::int64_t most_rows)
    : source(model.flow->coordinates.source, device, most_rows),
      target(model.flow->coordinates.target, device, most_rows),
      times(device, most_rows),
      memory(device, static_cast<std::size_t>(most_rows * model.dimension()) * sizeof(float), "a batch of noise"),
      rows(reinterpret_cast<float*>(memory.data()), {most_rows, model.dimension()}) {}

PassRecorder::PassRecorder(Model model, Device device, const GeneratorOptions& options)
    : model_(std::move(model)),
      device_(device),
      sampler_(options.sampler != nullptr ? options.sampler : make_sampler(model_.configuration, options.choice)) {
  model_.flow->precision = options.precision;
  model_.flow->fix_weights();
  if (device == Device::cpu) return;
  if (rounds(options.precision)) {
    Stream stream(device);
    model_.flow->parameters().make_working_copy(stream);
    stream.synchronize();
  }
  TimeColumns times(device, 1);
  Tape tape(device, Tape::Options{.training = false});
  FlowOnTape flow(tape, *model_.flow, times);
  sampler_->record(tape, flow, tape.make({1, model_.dimension()}));
  by_library_ = model_.source.fit() != nullptr || tape.calls(Matmul::kName) || tape.calls(Conv2d::kName);
}

PassRecorder::~PassRecorder() = default;

Pass PassRecorder::record(PassTask task, std::int64_t rows, PassMemory& memory, Stream& stream) const {
  const std::lock_guard lock(recording_);
  const bool forward = task == PassTask::sample;
  Pass pass{.rows = rows, .in = memory.rows.row_slice(0, rows)};
  pass.tape = std::make_unique<Tape>(
      device_, Tape::Options{.training = false, .packed_weights = device_ == Device::cpu ? &packed_ : nullptr});
  Tape& tape = *pass.tape;
  Flow& flow = *model_.flow;
  const Tensor from = (forward ? memory.source : memory.target).apply(tape, tape.external(pass.in));
  Tensor to;
  if (forward) {
    FlowOnTape on_tape(tape, flow, memory.times);
    to = sampler_->record(tape, on_tape, from).back();
    pass.evaluations = on_tape.evaluations();
  } else {
    const Tensor end = tape.external(memory.times.at(1).row_slice(0, rows));
    const bool likelihood = task == PassTask::log_prob;
    if (likelihood && !density_) density_ = std::make_unique<PassDensity>(model_, device_);
    const Tensor x0 = record_inverse(tape, flow, end, from, likelihood ? density_.get() : nullptr, &to);
    if (!likelihood) to = x0;
  }
  if (task != PassTask::log_prob) to = (forward ? memory.target : memory.source).undo(tape, to);
  tape.keep(to);
  tape.plan();
  pass.out = tape.view(to);
  tape.run(stream);  // libraries choose and load their code at the first run
  stream.synchronize();
  if (device_ == Device::cuda) pass.graph = tape.capture(stream);
  return pass;
}

}  // namespace otnfm

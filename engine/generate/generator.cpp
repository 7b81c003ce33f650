// The rows of a call are made in passes. A pass is a tape of a fixed number of rows, planned once, with its graph on
// CUDA. On the CPU there are passes of 1, 2, 4, 8, 16, 64 and 256 rows: small ones so that a single sample costs one
// row, none larger since 256 rows of activations still lie in the second-level cache. The last pass may be filled up
// with rows whose results nobody reads. On CUDA they are of 1,024 rows, which one row takes as long as, and where no
// product is a GEMM library's also of 4,096 and more: the library has another algorithm, so other last bits, for
// another size.
#include "engine/generate/generator.h"

#include <algorithm>
#include <array>
#include <limits>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "engine/data/gaussian_density.h"
#include "engine/generate/log_likelihood.h"
#include "engine/generate/model_file.h"
#include "engine/generate/noise.h"
#include "kernels/check.h"
#include "kernels/cpu/packed_linear.h"
#include "kernels/cpu/parallel.h"
#include "kernels/elementwise.h"
#include "kernels/fill.h"
#include "kernels/matmul.h"
#include "kernels/reduce.h"

namespace otnfm {
namespace {

constexpr std::int64_t kHostPasses[] = {1, 2, 4, 8, 16, 64, 256};
constexpr std::int64_t kDevicePasses[] = {1024, 4096, 16384, 65536};
constexpr std::int64_t kMostRows = kDevicePasses[std::size(kDevicePasses) - 1];

/// What a tape makes of its rows: x1 = F(1, x0) [rows, d], x0 = F(1, .)^-1(x1) [rows, d], log p(x1) [rows, 1].
enum class Task { sample, inverse, log_prob };
constexpr Task kTasks[] = {Task::sample, Task::inverse, Task::log_prob};

struct Pass {
  std::int64_t rows;
  View<float> in, out;
  std::unique_ptr<Tape> tape;
  Graph graph;  // CUDA
};

/// GaussianDensity::Whitening on a device.
struct Density {
  Memory memory;
  View<const float> matrix, bias;
  float constant = 0;

  Density(const Model& model, Device device) {
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

/// Flow::coordinates on a device.
struct Coordinates {
  StandardisationOps source, target;
  Coordinates(const FlowCoordinates& of, Device device, std::int64_t rows)
      : source(of.source, device, rows), target(of.target, device, rows) {}
};

/// x0 with F(t, x0) = y, for an inverse in closed form; and, where it is given, log p(y) [B, 1] to `log_prob`.
Tensor record_inverse(Tape& tape, Flow& flow, Tensor t, Tensor y, const Density* density, Tensor* log_prob) {
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
    z = linear(tape, x, tape.external(density->matrix), tape.external(density->bias), Activation::identity);
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

struct Generator::State {
  State(Model taken, Device where, const Options& options) : model(std::move(taken)), device(where) {
    model.flow->precision = options.precision;
    model.flow->fix_weights();
    if (device == Device::cpu) return;
    Tape tape(device, Tape::Options{.training = false});
    model.flow->forward(tape, tape.make({1, 1}), tape.make({1, model.dimension()}));
    by_library = model.source.fit() != nullptr || tape.calls(Matmul::kName) || tape.calls(MatmulBfloat16::kName);
  }

  Model model;
  Device device;
  bool by_library = false;       // CUDA: some products of a sample or its noise are the GEMM library's
  mutable std::mutex recording;  // Flow::forward is not const
  mutable cpu::PackedWeights packed;
  mutable std::unique_ptr<Density> density;  // once it is wanted

  bool in_closed_form() const { return model.flow->inversion() == Inversion::closed_form; }

  Pass record(Task task, std::int64_t rows, const View<float>& in, const View<float>& t, const Coordinates& coordinates,
              Stream& stream) const {
    const std::lock_guard lock(recording);
    Pass pass{.rows = rows, .in = in.row_slice(0, rows), .out = {}, .tape = {}, .graph = {}};
    pass.tape = std::make_unique<Tape>(
        device, Tape::Options{.training = false, .packed_weights = device == Device::cpu ? &packed : nullptr});
    Tensor from = pass.tape->external(pass.in), to;
    const Tensor time = pass.tape->external(t.row_slice(0, rows));
    from = (task == Task::sample ? coordinates.source : coordinates.target).apply(*pass.tape, from);
    if (task == Task::log_prob) {
      if (!density) density = std::make_unique<Density>(model, device);
      record_inverse(*pass.tape, *model.flow, time, from, density.get(), &to);
    } else {
      to = task == Task::sample ? model.flow->forward(*pass.tape, time, from)
                                : record_inverse(*pass.tape, *model.flow, time, from, nullptr, nullptr);
      to = (task == Task::sample ? coordinates.target : coordinates.source).undo(*pass.tape, to);
    }
    pass.tape->keep(to);
    pass.tape->plan();
    pass.out = pass.tape->view(to);
    pass.tape->run(stream);  // libraries choose and load their code at the first run
    stream.synchronize();
    if (device == Device::cuda) pass.graph = pass.tape->capture(stream);
    return pass;
  }
};

namespace {

/// All that one thread writes to.
class Lane {
 public:
  Lane(const Generator::State& shared, std::int64_t max_batch, const PrepareOptions& options)
      : sizes_(sizes_for(shared, max_batch)),
        coordinates_(shared.model.flow->coordinates, shared.device, sizes_.back()),
        stream_(shared.device),
        noise_(shared.model.source, shared.device, sizes_.back()) {
    const std::int64_t d = shared.model.dimension(), most = sizes_.back();
    memory_ = Memory(shared.device, static_cast<std::size_t>(most * (d + 1)) * sizeof(float), "a batch of noise");
    const View<float> x0(reinterpret_cast<float*>(memory_.data()), {most, d}), t(x0.data + most * d, {most, 1});
    zero_bytes(stream_, memory_.data(), memory_.bytes());
    const std::vector<float> ones(static_cast<std::size_t>(most), 1.0f);
    copy_bytes(stream_, t.data, ones.data(), ones.size() * sizeof(float));
    if (noise_.available()) noise_.draw(stream_, 0, 0, x0);
    stream_.synchronize();
    for (const Task task : kTasks) {
      if (task == Task::inverse && !(options.inverse && shared.in_closed_form())) continue;
      if (task == Task::log_prob && !(options.log_prob && shared.in_closed_form())) continue;
      for (const std::int64_t rows : sizes_) {
        if (shared.device == Device::cuda && task != Task::sample && rows != sizes_.front()) break;
        passes_of(task).push_back(shared.record(task, rows, x0, t, coordinates_, stream_));
      }
    }
  }

  Stream& stream() { return stream_; }
  Noise& noise() { return noise_; }
  std::int64_t most_rows() { return passes_of(Task::sample).back().rows; }

  /// fill(pass, begin, count) puts rows begin .. begin + count - 1 into the pass; what becomes of them goes to out's.
  template <class Fill>
  void run(Task task, const View<float>& out, const Fill& fill) {
    const std::int64_t n = out.rows();
    const std::size_t row_bytes = static_cast<std::size_t>(out.columns()) * sizeof(float);
    for (std::int64_t begin = 0; begin < n;) {
      const Pass& pass = pass_for(task, n - begin);
      const std::int64_t count = std::min(pass.rows, n - begin);
      fill(pass, begin, count);
      if (pass.graph)
        pass.graph.launch(stream_);
      else
        pass.tape->run(stream_);
      copy_bytes(stream_, out.row(begin), pass.out.data, static_cast<std::size_t>(count) * row_bytes);
      begin += count;
    }
  }

 private:
  static std::vector<std::int64_t> sizes_for(const Generator::State& shared, std::int64_t max_batch) {
    const bool on_host = shared.device == Device::cpu;
    const std::span<const std::int64_t> all = on_host             ? std::span<const std::int64_t>(kHostPasses)
                                              : shared.by_library ? std::span<const std::int64_t>(kDevicePasses, 1)
                                                                  : std::span<const std::int64_t>(kDevicePasses);
    std::vector<std::int64_t> sizes;
    for (const std::int64_t rows : all)
      if (sizes.empty() || fits(rows, max_batch)) sizes.push_back(rows);
    return sizes;
  }

  /// A pass is worth its work where more than half of its rows are wanted.
  static bool fits(std::int64_t rows, std::int64_t wanted) { return rows == 1 || rows / 2 < wanted; }

  std::vector<Pass>& passes_of(Task task) { return passes_[static_cast<std::size_t>(task)]; }

  const Pass& pass_for(Task task, std::int64_t left) {
    const std::vector<Pass>& passes = passes_of(task);
    for (std::size_t k = passes.size(); k-- > 1;)
      if (fits(passes[k].rows, left)) return passes[k];
    return passes.front();
  }

  std::vector<std::int64_t> sizes_;  // of passes, ascending
  Coordinates coordinates_;
  Stream stream_;
  Noise noise_;
  Memory memory_;  // rows [most, d] and t [most, 1]
  std::array<std::vector<Pass>, std::size(kTasks)> passes_;
};

/// Text is made only where the check fails: it would be an allocation.
void require_rows(const char* what, const char* name, const View<const float>& v, std::int64_t n, std::int64_t d) {
  if (v.rank == 2 && v.rows() == n && v.columns() == d && v.contiguous() && (v.data != nullptr || n == 0)) return;
  fail_check(what, name,
             describe(v) + ", wanted contiguous [" + std::to_string(n) + ", " + std::to_string(d) + "]" +
                 (v.data == nullptr && !v.empty() ? " with memory (data is null)" : ""));
}

}  // namespace

struct GeneratorContext::State {
  std::shared_ptr<const Generator::State> shared;
  PrepareOptions options;
  std::vector<std::unique_ptr<Lane>> lanes;
  // Families whose inverse is a fixed point; null for others, and where it is not wanted.
  std::unique_ptr<FlowInverse> fixed_point;
  std::unique_ptr<LogLikelihood> likelihood;

  void prepare_fixed_point(std::int64_t max_batch) {
    const std::lock_guard lock(shared->recording);
    const std::int64_t batch = std::min<std::int64_t>(max_batch, 4096);
    if (options.inverse) fixed_point = std::make_unique<FlowInverse>(*shared->model.flow, shared->device, batch);
    if (options.log_prob) likelihood = std::make_unique<LogLikelihood>(shared->model, shared->device, batch);
  }

  /// out = task(in), row by row.
  void map(Task task, CUstream_st* stream, const View<const float>& in, const View<float>& out) {
    const std::size_t row_bytes = static_cast<std::size_t>(in.columns()) * sizeof(float);
    part(out.rows(), [&](Lane& lane, std::int64_t first, std::int64_t rows) {
      const Stream::Redirected redirected(lane.stream(), stream);
      const Stream::Unchecked unchecked(lane.stream(), true);
      lane.run(task, out.row_slice(first, rows), [&](const Pass& pass, std::int64_t begin, std::int64_t count) {
        copy_bytes(lane.stream(), pass.in.data, in.row(first + begin), static_cast<std::size_t>(count) * row_bytes);
      });
    });
  }

  /// work(in, out), which takes host memory only.
  template <class Work>
  void on_host(CUstream_st* cuda, const View<const float>& in, const View<float>& out, const Work& work) {
    std::optional<cpu::OneThread> one_thread;
    if (options.threads == 1) one_thread.emplace();
    if (shared->device == Device::cpu) return work(in, out);
    Stream& stream = lanes.front()->stream();
    const Stream::Redirected redirected(stream, cuda);
    std::vector<float> rows(static_cast<std::size_t>(in.size())), results(static_cast<std::size_t>(out.size()));
    copy_bytes(stream, rows.data(), in.data, rows.size() * sizeof(float));
    stream.synchronize();
    View<const float> in_rows = in;
    View<float> out_rows = out;
    in_rows.data = rows.data();
    out_rows.data = results.data();
    work(in_rows, out_rows);
    copy_bytes(stream, out.data, results.data(), results.size() * sizeof(float));
    stream.synchronize();
  }

  /// work(lane, first row, rows) for parts of the n rows.
  template <class Work>
  void part(std::int64_t n, const Work& work) {
    const std::int64_t most = lanes.front()->most_rows(), parts = (n + most - 1) / most;
    if (lanes.size() == 1 || parts <= 1) {
      const cpu::OneThread one_thread;
      return work(*lanes.front(), std::int64_t{0}, n);
    }
    cpu::parallel_items(0, parts, 1, static_cast<int>(std::min<std::int64_t>(parts, std::ssize(lanes))),
                        [&](std::int64_t k, int lane) {
                          work(*lanes[static_cast<std::size_t>(lane)], k * most, std::min(most, n - k * most));
                        });
  }
};

Generator::Generator(Model model, Device device, const Options& options)
    : state_(std::make_shared<State>(std::move(model), device, options)) {}

Generator Generator::load(const std::filesystem::path& path, Device device, const Options& options) {
  return Generator(load_model(path, device), device, options);
}

Device Generator::device() const {
  return state_->device;
}

std::int64_t Generator::dimension() const {
  return state_->model.dimension();
}

const Model& Generator::model() const {
  return state_->model;
}

void Generator::noise(std::uint64_t seed, std::int64_t first_row, View<float> out) const {
  model().source.draw({.seed = seed, .stream = kSampleStream, .first_row = first_row}, out);
}

GeneratorContext Generator::prepare(std::int64_t max_batch, const PrepareOptions& options) const {
  int threads = options.threads;
  if (max_batch < 1) throw InputError("a generator's batch must be at least 1, not " + std::to_string(max_batch));
  if (threads < 0) throw InputError("a generator's threads must be 0 (all) or more, not " + std::to_string(threads));
  if (options.inverse || options.log_prob) {
    require_invertible(*model().flow);
    if (model().flow->precision != Precision::float32)
      throw InputError("a generator's inverse and log_prob need products in float32");
  }
  if (device() == Device::cuda) threads = 1;
  if (threads == 0) threads = cpu::thread_count();
  auto state = std::make_unique<GeneratorContext::State>();
  state->shared = state_;
  state->options = options;
  state->options.threads = threads;
  state->lanes.reserve(static_cast<std::size_t>(threads));
  const cpu::OneThread one_thread;
  for (int k = 0; k < threads; ++k) state->lanes.push_back(std::make_unique<Lane>(*state_, max_batch, options));
  if (!state_->in_closed_form()) state->prepare_fixed_point(max_batch);
  return GeneratorContext(std::move(state));
}

GeneratorContext::GeneratorContext(std::unique_ptr<State> state) : state_(std::move(state)) {}
GeneratorContext::~GeneratorContext() = default;
GeneratorContext::GeneratorContext(GeneratorContext&&) noexcept = default;
GeneratorContext& GeneratorContext::operator=(GeneratorContext&&) noexcept = default;

void GeneratorContext::sample(CUstream_st* stream, std::uint64_t seed, std::int64_t first_row, View<float> out) {
  require_rows("Generator::sample", "out", out, out.rows(), state_->shared->model.dimension());
  if (first_row < 0 || first_row > std::numeric_limits<std::int64_t>::max() - out.rows() - kMostRows)
    throw InputError("the first row of samples must lie in 0 .. 2^63, not " + std::to_string(first_row));
  if (!state_->lanes.front()->noise().available())
    throw InputError("source " + state_->shared->model.source.name() +
                     " is drawn on the host: draw by Generator::noise and hand the noise to sample()");
  const bool on_cuda = state_->shared->device == Device::cuda;
  state_->part(out.rows(), [&](Lane& lane, std::int64_t first, std::int64_t rows) {
    const Stream::Redirected redirected(lane.stream(), stream);
    const Stream::Unchecked unchecked(lane.stream(), true);
    lane.run(Task::sample, out.row_slice(first, rows), [&](const Pass& pass, std::int64_t begin, std::int64_t count) {
      // On CUDA always a whole pass, since a gaussian-fit is a product of the GEMM library.
      lane.noise().draw(lane.stream(), seed, first_row + first + begin,
                        on_cuda ? pass.in : pass.in.row_slice(0, count));
    });
  });
}

void GeneratorContext::sample(CUstream_st* stream, View<const float> x0, View<float> out) {
  const std::int64_t d = state_->shared->model.dimension();
  require_rows("Generator::sample", "x0", x0, x0.rows(), d);
  require_rows("Generator::sample", "out", out, x0.rows(), d);
  state_->map(Task::sample, stream, x0, out);
}

void GeneratorContext::inverse(CUstream_st* stream, View<const float> y, View<float> x0) {
  const std::int64_t n = y.rows(), d = state_->shared->model.dimension();
  require_rows("Generator::inverse", "y", y, n, d);
  require_rows("Generator::inverse", "x0", x0, n, d);
  if (!state_->options.inverse)
    throw InputError("Generator::inverse: the context was not prepared with inverse = true");
  if (!state_->fixed_point) return state_->map(Task::inverse, stream, y, x0);
  const std::vector<float> ones(static_cast<std::size_t>(n), 1.0f);
  state_->on_host(stream, y, x0, [&](const View<const float>& from, const View<float>& to) {
    (*state_->fixed_point)({ones.data(), {n, 1}}, from, to);
  });
}

void GeneratorContext::log_prob(CUstream_st* stream, View<const float> y, View<float> out) {
  const std::int64_t n = y.rows();
  require_rows("Generator::log_prob", "y", y, n, state_->shared->model.dimension());
  const View<float> column(out.data, {out.rows(), 1});
  require_rows("Generator::log_prob", "out", column, n, 1);
  if (out.rank != 1 || !out.contiguous()) throw InputError("Generator::log_prob: out must be one row of numbers [n]");
  if (!state_->options.log_prob)
    throw InputError("Generator::log_prob: the context was not prepared with log_prob = true");
  if (!state_->likelihood) return state_->map(Task::log_prob, stream, y, column);
  state_->on_host(stream, y, column, [&](const View<const float>& from, const View<float>& to) {
    const LogLikelihoods result = (*state_->likelihood)(from);
    std::copy(result.values.begin(), result.values.end(), to.data);
  });
}

void GeneratorContext::synchronize() {
  for (const auto& lane : state_->lanes) lane->stream().synchronize();
}

}  // namespace otnfm

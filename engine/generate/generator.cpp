// The rows of a call are made in passes. A pass is a tape of a fixed number of rows, planned once, with its graph on
// CUDA. On the CPU there are passes of 1, 2, 4, 8, 16, 64 and 256 rows: small ones so that a single sample costs one
// row, none larger since 256 rows of activations still lie in the second-level cache. The last pass may be filled up
// with rows whose results nobody reads. On CUDA there is one size only: a GEMM library has another algorithm, so other
// last bits, for another size.
#include "engine/generate/generator.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/generate/model_file.h"
#include "engine/generate/noise.h"
#include "kernels/check.h"
#include "kernels/cpu/packed_linear.h"
#include "kernels/cpu/parallel.h"

namespace otnfm {
namespace {

constexpr std::int64_t kHostPasses[] = {1, 2, 4, 8, 16, 64, 256};
constexpr std::int64_t kDevicePass = 1024;

/// A tape of `rows` rows from x0 to x1.
struct Pass {
  std::int64_t rows;
  View<float> x0, x1;
  std::unique_ptr<Tape> tape;
  Graph graph;  // CUDA
};

}  // namespace

struct Generator::State {
  State(Model taken, Device where, const Options& options) : model(std::move(taken)), device(where) {
    model.flow->precision = options.precision;
  }

  Model model;
  Device device;
  mutable std::mutex recording;  // Flow::forward is not const
  mutable cpu::PackedWeights packed;

  Pass record(std::int64_t rows, const View<float>& x0, const View<float>& t, Stream& stream) const {
    const std::lock_guard lock(recording);
    Pass pass{.rows = rows, .x0 = x0.row_slice(0, rows), .x1 = {}, .tape = {}, .graph = {}};
    pass.tape = std::make_unique<Tape>(
        device, Tape::Options{.training = false, .packed_weights = device == Device::cpu ? &packed : nullptr});
    const Tensor x1 =
        model.flow->forward(*pass.tape, pass.tape->external(t.row_slice(0, rows)), pass.tape->external(pass.x0));
    pass.tape->keep(x1);
    pass.tape->plan();
    pass.x1 = pass.tape->view(x1);
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
  Lane(const Generator::State& shared, std::int64_t max_batch)
      : stream_(shared.device), noise_(shared.model.source, shared.device, most_rows(shared.device, max_batch)) {
    const std::int64_t d = shared.model.dimension(), most = most_rows(shared.device, max_batch);
    memory_ = Memory(shared.device, static_cast<std::size_t>(most * (d + 1)) * sizeof(float), "a batch of noise");
    const View<float> x0(reinterpret_cast<float*>(memory_.data()), {most, d}), t(x0.data + most * d, {most, 1});
    zero_bytes(stream_, memory_.data(), memory_.bytes());
    const std::vector<float> ones(static_cast<std::size_t>(most), 1.0f);
    copy_bytes(stream_, t.data, ones.data(), ones.size() * sizeof(float));
    if (noise_.available()) noise_.draw(stream_, 0, 0, x0);
    stream_.synchronize();
    if (shared.device == Device::cuda) {
      passes_.push_back(shared.record(kDevicePass, x0, t, stream_));
      return;
    }
    for (std::int64_t rows : kHostPasses)
      if (rows <= most) passes_.push_back(shared.record(rows, x0, t, stream_));  // NOLINT: at most seven of them
  }

  Stream& stream() { return stream_; }
  Noise& noise() { return noise_; }
  std::int64_t most_rows() const { return passes_.back().rows; }

  /// fill(pass, begin, count) puts x0 of rows begin .. begin + count - 1 into the pass; their x1 go to out [n, d].
  template <class Fill>
  void run(const View<float>& out, const Fill& fill) {
    const std::int64_t n = out.rows();
    const std::size_t row_bytes = static_cast<std::size_t>(out.columns()) * sizeof(float);
    for (std::int64_t begin = 0; begin < n;) {
      const Pass& pass = pass_for(n - begin);
      const std::int64_t count = std::min(pass.rows, n - begin);
      fill(pass, begin, count);
      if (pass.graph)
        pass.graph.launch(stream_);
      else
        pass.tape->run(stream_);
      copy_bytes(stream_, out.row(begin), pass.x1.data, static_cast<std::size_t>(count) * row_bytes);
      begin += count;
    }
  }

 private:
  static std::int64_t most_rows(Device device, std::int64_t max_batch) {
    if (device == Device::cuda) return kDevicePass;
    std::int64_t most = 1;
    for (std::int64_t rows : kHostPasses)
      if (fits(rows, max_batch)) most = rows;
    return most;
  }

  /// A pass is worth its work where more than half of its rows are wanted.
  static bool fits(std::int64_t rows, std::int64_t wanted) { return rows == 1 || rows / 2 < wanted; }

  const Pass& pass_for(std::int64_t left) const {
    for (std::size_t k = passes_.size(); k-- > 1;)
      if (fits(passes_[k].rows, left)) return passes_[k];
    return passes_.front();
  }

  Stream stream_;
  Noise noise_;
  Memory memory_;  // x0 [most, d] and t [most, 1]
  std::vector<Pass> passes_;
};

/// Text is made only where the check fails: it would be an allocation.
void require_samples(const char* name, const View<const float>& v, std::int64_t n, std::int64_t d) {
  if (v.rank == 2 && v.rows() == n && v.columns() == d && v.contiguous() && (v.data != nullptr || n == 0)) return;
  fail_check("Generator::sample", name,
             describe(v) + ", wanted contiguous [" + std::to_string(n) + ", " + std::to_string(d) + "]" +
                 (v.data == nullptr && !v.empty() ? " with memory (data is null)" : ""));
}

}  // namespace

struct GeneratorContext::State {
  std::shared_ptr<const Generator::State> shared;
  std::vector<std::unique_ptr<Lane>> lanes;

  /// work(lane, first row, rows) for parts of the n rows.
  template <class Work>
  void part(std::int64_t n, const Work& work) {
    const std::int64_t most = lanes.front()->most_rows(), parts = (n + most - 1) / most;
    if (lanes.size() == 1 || parts <= 1) {
      const cpu::OneThread one_thread;
      return work(*lanes.front(), std::int64_t{0}, n);
    }
#if defined(_OPENMP)
#pragma omp parallel for schedule(dynamic, 1) num_threads(static_cast <int>(lanes.size()))
    for (std::int64_t k = 0; k < parts; ++k)
      work(*lanes[static_cast<std::size_t>(omp_get_thread_num())], k * most, std::min(most, n - k * most));
#endif
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

GeneratorContext Generator::prepare(std::int64_t max_batch, int threads) const {
  if (max_batch < 1) throw InputError("a generator's batch must be at least 1, not " + std::to_string(max_batch));
  if (threads < 0) throw InputError("a generator's threads must be 0 (all) or more, not " + std::to_string(threads));
#if defined(_OPENMP)
  if (device() == Device::cuda) threads = 1;
  if (threads == 0) threads = cpu::thread_count();
#else
  threads = 1;
#endif
  auto state = std::make_unique<GeneratorContext::State>();
  state->shared = state_;
  state->lanes.reserve(static_cast<std::size_t>(threads));
  const cpu::OneThread one_thread;
  for (int k = 0; k < threads; ++k) state->lanes.push_back(std::make_unique<Lane>(*state_, max_batch));
  return GeneratorContext(std::move(state));
}

GeneratorContext::GeneratorContext(std::unique_ptr<State> state) : state_(std::move(state)) {}
GeneratorContext::~GeneratorContext() = default;
GeneratorContext::GeneratorContext(GeneratorContext&&) noexcept = default;
GeneratorContext& GeneratorContext::operator=(GeneratorContext&&) noexcept = default;

void GeneratorContext::sample(CUstream_st* stream, std::uint64_t seed, std::int64_t first_row, View<float> out) {
  require_samples("out", out, out.rows(), state_->shared->model.dimension());
  if (first_row < 0 || first_row > std::numeric_limits<std::int64_t>::max() - out.rows() - kDevicePass)
    throw InputError("the first row of samples must lie in 0 .. 2^63, not " + std::to_string(first_row));
  if (!state_->lanes.front()->noise().available())
    throw InputError("source " + state_->shared->model.source.name() +
                     " is drawn on the host: draw by Generator::noise and hand the noise to sample()");
  const bool on_cuda = state_->shared->device == Device::cuda;
  state_->part(out.rows(), [&](Lane& lane, std::int64_t first, std::int64_t rows) {
    const Stream::Redirected redirected(lane.stream(), stream);
    const Stream::Unchecked unchecked(lane.stream(), true);
    lane.run(out.row_slice(first, rows), [&](const Pass& pass, std::int64_t begin, std::int64_t count) {
      // On CUDA always a whole pass, since a gaussian-fit is a matrix product too.
      lane.noise().draw(lane.stream(), seed, first_row + first + begin,
                        on_cuda ? pass.x0 : pass.x0.row_slice(0, count));
    });
  });
}

void GeneratorContext::sample(CUstream_st* stream, View<const float> x0, View<float> out) {
  const std::int64_t d = state_->shared->model.dimension();
  require_samples("x0", x0, x0.rows(), d);
  require_samples("out", out, x0.rows(), d);
  state_->part(out.rows(), [&](Lane& lane, std::int64_t first, std::int64_t rows) {
    const Stream::Redirected redirected(lane.stream(), stream);
    const Stream::Unchecked unchecked(lane.stream(), true);
    lane.run(out.row_slice(first, rows), [&](const Pass& pass, std::int64_t begin, std::int64_t count) {
      copy_bytes(lane.stream(), pass.x0.data, x0.row(first + begin),
                 static_cast<std::size_t>(count * d) * sizeof(float));
    });
  });
}

void GeneratorContext::synchronize() {
  for (const auto& lane : state_->lanes) lane->stream().synchronize();
}

}  // namespace otnfm

// A request's rows are parted among the lanes, one a thread, and each lane's among passes of fixed sizes.
#include "engine/generate/generator.h"

#include <algorithm>
#include <limits>
#include <mutex>
#include <optional>
#include <vector>

#include "engine/generate/lane.h"
#include "engine/generate/log_likelihood.h"
#include "engine/generate/model_file.h"
#include "engine/generate/noise.h"
#include "engine/generate/pass.h"
#include "kernels/check.h"
#include "kernels/host/parallel.h"

namespace otnfm {
namespace {

/// Text is made only where the check fails: it would be an allocation.
void require_rows(const char* what, const char* name, const View<const float>& v, std::int64_t n, std::int64_t d) {
  if (v.rank == 2 && v.rows() == n && v.columns() == d && v.contiguous() && (v.data != nullptr || n == 0)) return;
  fail_check(what, name,
             describe(v) + ", wanted contiguous [" + std::to_string(n) + ", " + std::to_string(d) + "]" +
                 (v.data == nullptr && !v.empty() ? " with memory (data is null)" : ""));
}

}  // namespace

struct GeneratorContext::State {
  std::shared_ptr<const PassRecorder> recorder;
  PrepareOptions options;
  std::vector<std::unique_ptr<Lane>> lanes;
  // Families whose inverse is a fixed point; null for others, and where it is not wanted.
  std::unique_ptr<FlowInverse> fixed_point;
  std::unique_ptr<LogLikelihood> likelihood;

  void prepare_fixed_point(std::int64_t max_batch) {
    const std::lock_guard lock(recorder->recording());
    const std::int64_t batch = std::min<std::int64_t>(max_batch, 4096);
    if (options.inverse)
      fixed_point = std::make_unique<FlowInverse>(*recorder->model().flow, recorder->device(), batch);
    if (options.log_prob) likelihood = std::make_unique<LogLikelihood>(recorder->model(), recorder->device(), batch);
  }

  /// out = task(in), row by row.
  void map(PassTask task, CUstream_st* stream, const View<const float>& in, const View<float>& out) {
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
    std::optional<host::OneThread> one_thread;
    if (options.threads == 1) one_thread.emplace();
    if (recorder->device() == Device::cpu) return work(in, out);
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
      const host::OneThread one_thread;
      return work(*lanes.front(), std::int64_t{0}, n);
    }
    host::parallel_items(0, parts, 1, static_cast<int>(std::min<std::int64_t>(parts, std::ssize(lanes))),
                         [&](std::int64_t k, int lane) {
                           work(*lanes[static_cast<std::size_t>(lane)], k * most, std::min(most, n - k * most));
                         });
  }
};

Generator::Generator(Model model, Device device, const Options& options)
    : recorder_(std::make_shared<PassRecorder>(std::move(model), device, options)) {}

Generator Generator::load(const std::filesystem::path& path, Device device, const Options& options) {
  return Generator(load_model(path, device), device, options);
}

Device Generator::device() const {
  return recorder_->device();
}

std::int64_t Generator::dimension() const {
  return recorder_->model().dimension();
}

std::vector<std::int64_t> Generator::sample_shape() const {
  return model().sample_shape();
}

const Model& Generator::model() const {
  return recorder_->model();
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
    require_map(model().configuration, "a generator's inverse and log_prob");
    if (model().flow->precision != Precision::float32)
      throw InputError("a generator's inverse and log_prob need products in float32");
  }
  if (device() == Device::cuda) threads = 1;
  if (threads == 0) threads = host::thread_count();
  auto state = std::make_unique<GeneratorContext::State>();
  state->recorder = recorder_;
  state->options = options;
  state->options.threads = threads;
  state->lanes.reserve(static_cast<std::size_t>(threads));
  const host::OneThread one_thread;
  for (int k = 0; k < threads; ++k) state->lanes.push_back(std::make_unique<Lane>(*recorder_, max_batch, options));
  if (!recorder_->in_closed_form()) state->prepare_fixed_point(max_batch);
  return GeneratorContext(std::move(state));
}

GeneratorContext::GeneratorContext(std::unique_ptr<State> state) : state_(std::move(state)) {}
GeneratorContext::~GeneratorContext() = default;
GeneratorContext::GeneratorContext(GeneratorContext&&) noexcept = default;
GeneratorContext& GeneratorContext::operator=(GeneratorContext&&) noexcept = default;

void GeneratorContext::sample(CUstream_st* stream, std::uint64_t seed, std::int64_t first_row, View<float> out) {
  require_rows("Generator::sample", "out", out, out.rows(), state_->recorder->model().dimension());
  if (first_row < 0 || first_row > std::numeric_limits<std::int64_t>::max() - out.rows() - kMostPassRows)
    throw InputError("the first row of samples must lie in 0 .. 2^63, not " + std::to_string(first_row));
  if (!state_->lanes.front()->noise().available())
    throw InputError("source " + state_->recorder->model().source.name() +
                     " is drawn on the host: draw by Generator::noise and hand the noise to sample()");
  const bool on_cuda = state_->recorder->device() == Device::cuda;
  state_->part(out.rows(), [&](Lane& lane, std::int64_t first, std::int64_t rows) {
    const Stream::Redirected redirected(lane.stream(), stream);
    const Stream::Unchecked unchecked(lane.stream(), true);
    lane.run(PassTask::sample, out.row_slice(first, rows),
             [&](const Pass& pass, std::int64_t begin, std::int64_t count) {
               // On CUDA always a whole pass, since a gaussian-fit is a product of the GEMM library.
               lane.noise().draw(lane.stream(), seed, first_row + first + begin,
                                 on_cuda ? pass.in : pass.in.row_slice(0, count));
             });
  });
}

void GeneratorContext::sample(CUstream_st* stream, View<const float> x0, View<float> out) {
  const std::int64_t d = state_->recorder->model().dimension();
  require_rows("Generator::sample", "x0", x0, x0.rows(), d);
  require_rows("Generator::sample", "out", out, x0.rows(), d);
  state_->map(PassTask::sample, stream, x0, out);
}

std::int64_t GeneratorContext::nfe() const {
  return state_->lanes.front()->nfe();
}

void GeneratorContext::inverse(CUstream_st* stream, View<const float> y, View<float> x0) {
  const std::int64_t n = y.rows(), d = state_->recorder->model().dimension();
  require_rows("Generator::inverse", "y", y, n, d);
  require_rows("Generator::inverse", "x0", x0, n, d);
  if (!state_->options.inverse)
    throw InputError("Generator::inverse: the context was not prepared with inverse = true");
  if (!state_->fixed_point) return state_->map(PassTask::inverse, stream, y, x0);
  const std::vector<float> ones(static_cast<std::size_t>(n), 1.0f);
  state_->on_host(stream, y, x0, [&](const View<const float>& from, const View<float>& to) {
    (*state_->fixed_point)({ones.data(), {n, 1}}, from, to);
  });
}

void GeneratorContext::log_prob(CUstream_st* stream, View<const float> y, View<float> out) {
  const std::int64_t n = y.rows();
  require_rows("Generator::log_prob", "y", y, n, state_->recorder->model().dimension());
  const View<float> column(out.data, {out.rows(), 1});
  require_rows("Generator::log_prob", "out", column, n, 1);
  if (out.rank != 1 || !out.contiguous()) throw InputError("Generator::log_prob: out must be one row of numbers [n]");
  if (!state_->options.log_prob)
    throw InputError("Generator::log_prob: the context was not prepared with log_prob = true");
  if (!state_->likelihood) return state_->map(PassTask::log_prob, stream, y, column);
  state_->on_host(stream, y, column, [&](const View<const float>& from, const View<float>& to) {
    const LogLikelihoods result = (*state_->likelihood)(from);
    std::copy(result.values.begin(), result.values.end(), to.data);
  });
}

void GeneratorContext::synchronize() {
  for (const auto& lane : state_->lanes) lane->stream().synchronize();
}

}  // namespace otnfm

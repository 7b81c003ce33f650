// On the CPU there are passes of 1, 2, 4, 8, 16, 64 and 256 rows: small ones so that a single sample costs one row,
// none larger since 256 rows of activations still lie in the second-level cache. The last pass may be filled up with
// rows whose results nobody reads. On CUDA they are of 1,024 rows, which one row takes as long as, and where no product
// is a GEMM library's also of 4,096 and more: the library has another algorithm, so other last bits, for another size.
#include "engine/generate/lane.h"

#include <span>

namespace otnfm {
namespace {

constexpr std::int64_t kHostPasses[] = {1, 2, 4, 8, 16, 64, 256};
constexpr std::int64_t kDevicePasses[] = {1024, 4096, 16384, kMostPassRows};

/// A pass is worth its work where more than half of its rows are wanted.
bool fits(std::int64_t rows, std::int64_t wanted) {
  return rows == 1 || rows / 2 < wanted;
}

std::vector<std::int64_t> pass_sizes(const PassRecorder& recorder, std::int64_t max_batch) {
  const bool on_host = recorder.device() == Device::cpu;
  const std::int64_t most = recorder.model().flow->most_rows();
  const std::span<const std::int64_t> all = on_host                 ? std::span<const std::int64_t>(kHostPasses)
                                            : recorder.by_library() ? std::span<const std::int64_t>(kDevicePasses, 1)
                                                                    : std::span<const std::int64_t>(kDevicePasses);
  std::vector<std::int64_t> sizes;
  for (const std::int64_t rows : all)
    if (sizes.empty() || (rows <= most && fits(rows, max_batch))) sizes.push_back(std::min(rows, most));
  return sizes;
}

}  // namespace

Lane::Lane(const PassRecorder& recorder, std::int64_t max_batch, const PrepareOptions& options)
    : sizes_(pass_sizes(recorder, max_batch)),
      memory_(recorder.model(), recorder.device(), sizes_.back()),
      stream_(recorder.device()),
      noise_(recorder.model().source, recorder.device(), sizes_.back()) {
  zero_bytes(stream_, memory_.memory.data(), memory_.memory.bytes());
  if (noise_.available()) noise_.draw(stream_, 0, 0, memory_.rows);
  stream_.synchronize();
  for (const PassTask task : {PassTask::sample, PassTask::inverse, PassTask::log_prob}) {
    if (task == PassTask::inverse && !(options.inverse && recorder.in_closed_form())) continue;
    if (task == PassTask::log_prob && !(options.log_prob && recorder.in_closed_form())) continue;
    for (const std::int64_t rows : sizes_) {
      if (recorder.device() == Device::cuda && task != PassTask::sample && rows != sizes_.front()) break;
      passes_[static_cast<std::size_t>(task)].push_back(recorder.record(task, rows, memory_, stream_));
    }
  }
}

const Pass& Lane::pass_for(PassTask task, std::int64_t left) const {
  const std::vector<Pass>& passes = passes_of(task);
  for (std::size_t k = passes.size(); k-- > 1;)
    if (fits(passes[k].rows, left)) return passes[k];
  return passes.front();
}

}  // namespace otnfm

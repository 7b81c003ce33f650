// Streams, events, stream capture and graphs.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "runtime.h"

namespace simt {
namespace {

using Work = std::vector<std::function<void()>>;

/// What streams record into between cudaStreamBeginCapture and cudaStreamEndCapture. A stream that waits for an event
/// of a capture takes part in it, and must be waited for before it ends.
struct Capture {
  struct Branch {
    bool waited_for = false;
    std::size_t last = 0, waited_up_to = 0;  // positions in `work`
  };
  cudaStream_t origin = nullptr;
  bool relaxed = false, invalidated = false;
  Work work;
  std::map<cudaStream_t, Branch> branches;
};

thread_local std::vector<Capture*> captures_of_thread;

}  // namespace
}  // namespace simt

struct CUstream_st {
  unsigned flags = 0;
  std::shared_ptr<simt::Capture> capture;
};

struct CUevent_st {
  std::chrono::steady_clock::time_point time;
  bool recorded = false;
  std::weak_ptr<simt::Capture> capture;
  bool captured = false;
  cudaStream_t stream = nullptr;
  std::size_t position = 0;
};

struct CUgraph_st {
  simt::Work work;
};

struct CUgraphExec_st {
  std::shared_ptr<const simt::Work> work;
};

namespace simt {
namespace {

CUstream_st default_stream;

CUstream_st& stream_of(cudaStream_t stream) {
  return stream ? *stream : default_stream;
}

}  // namespace

bool is_capturing(cudaStream_t stream) {
  return stream_of(stream).capture != nullptr;
}

cudaError_t forbid_in_capture(cudaStream_t stream) {
  if (!is_capturing(stream)) return cudaSuccess;
  stream_of(stream).capture->invalidated = true;
  return report(cudaErrorStreamCaptureUnsupported);
}

cudaError_t forbid_in_capture() {
  cudaError_t error = cudaSuccess;
  for (Capture* capture : captures_of_thread)
    if (!capture->relaxed) capture->invalidated = true, error = cudaErrorStreamCaptureUnsupported;
  return report(error);
}

namespace {

/// A GPU that goes away: with OTNFM_SIMT_LOST_AFTER=n everything behind the first n launches and copies fails.
bool is_lost() {
  static const char* const after = std::getenv("OTNFM_SIMT_LOST_AFTER");
  static std::atomic<long> left{after ? std::atol(after) : 0};
  return after != nullptr && left-- <= 0;
}

}  // namespace

cudaError_t enqueue(cudaStream_t stream, std::function<void()> work) {
  if (is_lost()) return report(cudaErrorUnknown);
  const std::shared_ptr<Capture>& capture = stream_of(stream).capture;
  if (!capture) {
    work();
    return cudaSuccess;
  }
  if (capture->invalidated) return report(cudaErrorStreamCaptureInvalidated);
  capture->work.push_back(std::move(work));
  capture->branches[stream].last = capture->work.size();
  return cudaSuccess;
}

}  // namespace simt

using namespace simt;

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  *stream = new CUstream_st{flags, nullptr};
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (!stream) return report(cudaErrorInvalidResourceHandle);
  if (stream->capture && stream->capture->origin == stream) std::erase(captures_of_thread, stream->capture.get());
  delete stream;
  return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  return forbid_in_capture(stream);
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return cudaStreamSynchronize(stream);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  // In a capture, an event from outside would make the replay depend on what ran while it was recorded.
  if (!event->captured) return event->recorded ? forbid_in_capture(stream) : cudaSuccess;
  const std::shared_ptr<Capture> capture = event->capture.lock();
  if (!capture) return report(cudaErrorCapturedEvent);
  if (!stream_of(stream).capture) {
    stream_of(stream).capture = capture;
    capture->branches[stream] = {};
  }
  Capture::Branch& branch = capture->branches[event->stream];
  if (stream != event->stream) branch.waited_for = true;
  branch.waited_up_to = std::max(branch.waited_up_to, event->position);
  return cudaSuccess;
}

cudaError_t cudaDeviceSynchronize() {
  return forbid_in_capture();
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st;
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  const std::shared_ptr<Capture>& capture = stream_of(stream).capture;
  if (capture && capture->invalidated) return report(cudaErrorStreamCaptureInvalidated);
  event->recorded = !capture;
  event->captured = capture != nullptr;
  event->capture = capture;
  event->stream = stream;
  event->position = capture ? capture->branches[stream].last : 0;
  event->time = std::chrono::steady_clock::now();
  return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event) {
  return cudaEventSynchronize(event);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  if (!event->captured) return forbid_in_capture();
  if (const std::shared_ptr<Capture> capture = event->capture.lock()) capture->invalidated = true;
  return report(cudaErrorCapturedEvent);
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  if (!start->recorded || !end->recorded) return report(cudaErrorInvalidResourceHandle);
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
  return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  if (!stream) return report(cudaErrorStreamCaptureUnsupported);
  if (stream->capture) return report(cudaErrorStreamCaptureUnmatched);
  stream->capture = std::make_shared<Capture>();
  stream->capture->origin = stream;
  stream->capture->relaxed = mode == cudaStreamCaptureModeRelaxed;
  captures_of_thread.push_back(stream->capture.get());
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  if (graph) *graph = nullptr;
  if (!stream || !stream->capture || stream->capture->origin != stream) return report(cudaErrorStreamCaptureUnmatched);
  const std::shared_ptr<Capture> capture = std::exchange(stream->capture, nullptr);
  std::erase(captures_of_thread, capture.get());
  bool joined = true;
  for (const auto& [participant, branch] : capture->branches) {
    if (participant == stream) continue;
    stream_of(participant).capture = nullptr;
    joined = joined && branch.waited_for && branch.waited_up_to >= branch.last;
  }
  if (capture->invalidated) return report(cudaErrorStreamCaptureInvalidated);
  if (!joined) return report(cudaErrorStreamCaptureUnjoined);
  if (!graph) return report(cudaErrorInvalidValue);
  *graph = new CUgraph_st{std::move(capture->work)};
  return cudaSuccess;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus* status) {
  const Capture* capture = stream_of(stream).capture.get();
  *status = !capture               ? cudaStreamCaptureStatusNone
            : capture->invalidated ? cudaStreamCaptureStatusInvalidated
                                   : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t* executable, cudaGraph_t graph, unsigned long long) {
  if (!executable || !graph) return report(cudaErrorInvalidValue);
  *executable = new CUgraphExec_st{std::make_shared<const Work>(graph->work)};
  return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t executable, cudaStream_t stream) {
  if (!executable) return report(cudaErrorInvalidValue);
  return enqueue(stream, [work = executable->work] {
    for (const auto& item : *work) item();
  });
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t executable) {
  delete executable;
  return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}

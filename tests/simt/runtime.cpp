// The CUDA runtime API over host memory: allocations, streams, events, stream capture and graphs.
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "simt.h"

namespace simt {
namespace {

using Work = std::vector<std::function<void()>>;

/// What streams record into between cudaStreamBeginCapture and cudaStreamEndCapture. Streams that wait for an event of
/// a capture join it; they must be waited for before it ends.
struct Capture {
  cudaStream_t origin;
  bool relaxed = false, invalidated = false;
  Work work;
  std::vector<cudaStream_t> joined;
  std::map<cudaStream_t, std::size_t> last;  // how much of `work` there was after a stream's latest entry
};

thread_local cudaError_t last_error = cudaSuccess;
thread_local std::vector<Capture*> captures_of_thread;

cudaError_t report(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

/// What a capture of this thread forbids: allocation, synchronous copies, waiting.
cudaError_t forbid_in_capture() {
  cudaError_t error = cudaSuccess;
  for (Capture* capture : captures_of_thread)
    if (!capture->relaxed) capture->invalidated = true, error = cudaErrorStreamCaptureUnsupported;
  return report(error);
}

enum class Place { device, pinned };

struct Allocation {
  std::size_t bytes;
  Place place;
};

std::mutex registry_mutex;
std::map<const char*, Allocation>& registry() {  // never destroyed: statics may free device memory at exit
  static auto* const map = new std::map<const char*, Allocation>;
  return *map;
}
std::size_t device_bytes = 0;
constexpr std::size_t kDeviceBytes = std::size_t{16} << 30;
constexpr std::size_t kAlignment = 256;

cudaError_t allocate(void** pointer, std::size_t bytes, Place place) {
  if (!pointer) return report(cudaErrorInvalidValue);
  if (cudaError_t error = forbid_in_capture(); error != cudaSuccess) return error;
  *pointer = nullptr;
  if (bytes == 0) return cudaSuccess;
  const std::lock_guard lock(registry_mutex);
  void* memory = nullptr;
  if ((place == Place::device && bytes > kDeviceBytes - device_bytes) ||
      posix_memalign(&memory, kAlignment, bytes) != 0)
    return report(cudaErrorMemoryAllocation);
  std::memset(memory, 0xff, bytes);
  registry()[static_cast<const char*>(memory)] = {bytes, place};
  if (place == Place::device) device_bytes += bytes;
  *pointer = memory;
  return cudaSuccess;
}

cudaError_t release(void* pointer, Place place) {
  if (!pointer) return cudaSuccess;
  if (cudaError_t error = forbid_in_capture(); error != cudaSuccess) return error;
  const std::lock_guard lock(registry_mutex);
  const auto found = registry().find(static_cast<const char*>(pointer));
  if (found == registry().end() || found->second.place != place) return report(cudaErrorInvalidValue);
  if (place == Place::device) device_bytes -= found->second.bytes;
  registry().erase(found);
  std::free(pointer);
  return cudaSuccess;
}

/// The place of an address inside an allocation of ours; false for other memory of the host.
bool find_place(const void* address, Place* place) {
  const std::lock_guard lock(registry_mutex);
  auto next = registry().upper_bound(static_cast<const char*>(address));
  if (next == registry().begin()) return false;
  --next;
  if (static_cast<const char*>(address) >= next->first + next->second.bytes) return false;
  *place = next->second.place;
  return true;
}

bool on_device(const void* address) {
  Place place;
  return find_place(address, &place) && place == Place::device;
}

bool pageable(const void* address) {
  Place place;
  return !find_place(address, &place);
}

cudaError_t check_copy(const void* to, const void* from, cudaMemcpyKind kind) {
  if (kind == cudaMemcpyDefault) return cudaSuccess;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  return on_device(to) == to_device && on_device(from) == from_device ? cudaSuccess : cudaErrorInvalidValue;
}

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

cudaError_t enqueue(cudaStream_t stream, std::function<void()> work) {
  const std::shared_ptr<Capture>& capture = stream_of(stream).capture;
  if (!capture) {
    work();
    return cudaSuccess;
  }
  if (capture->invalidated) return report(cudaErrorStreamCaptureInvalidated);
  capture->work.push_back(std::move(work));
  capture->last[stream] = capture->work.size();
  return cudaSuccess;
}

namespace {

constexpr std::size_t kDefaultSharedBytes = 48 << 10, kMaxSharedBytes = 227 << 10;
constexpr unsigned kMaxThreads = 1024;

std::mutex attributes_mutex;
std::map<const void*, std::size_t>& dynamic_shared_limits() {
  static auto* const map = new std::map<const void*, std::size_t>;
  return *map;
}

}  // namespace

cudaError_t launch(const cudaLaunchConfig_t& c, const void* kernel, std::function<void()> body) {
  const dim3 g = c.gridDim, b = c.blockDim;
  if (g.x == 0 || g.y == 0 || g.z == 0 || g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535 || b.x == 0 || b.y == 0 ||
      b.z == 0 || b.x > kMaxThreads || b.y > kMaxThreads || b.z > 64 ||
      std::uint64_t{1} * b.x * b.y * b.z > kMaxThreads)
    return report(cudaErrorInvalidConfiguration);
  {
    const std::lock_guard lock(attributes_mutex);
    const auto found = dynamic_shared_limits().find(kernel);
    const std::size_t limit =
        found == dynamic_shared_limits().end() ? kDefaultSharedBytes : std::max(kDefaultSharedBytes, found->second);
    if (c.dynamicSmemBytes > limit) return report(cudaErrorInvalidValue);
  }
  return enqueue(c.stream, [task = Launch{kernel, g, b, c.dynamicSmemBytes, std::move(body)}] { run(task); });
}

}  // namespace simt

using namespace simt;

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  return allocate(pointer, bytes, Place::device);
}
cudaError_t cudaFree(void* pointer) {
  return release(pointer, Place::device);
}
cudaError_t cudaMallocHost(void** pointer, std::size_t bytes) {
  return allocate(pointer, bytes, Place::pinned);
}
cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned) {
  return allocate(pointer, bytes, Place::pinned);
}
cudaError_t cudaFreeHost(void* pointer) {
  return release(pointer, Place::pinned);
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  if (cudaError_t error = forbid_in_capture(); error != cudaSuccess) return error;
  if (cudaError_t error = check_copy(to, from, kind); bytes != 0 && error != cudaSuccess) return report(error);
  if (bytes != 0) std::memcpy(to, from, bytes);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (cudaError_t error = check_copy(to, from, kind); error != cudaSuccess) return report(error);
  // Pageable memory of the host may be gone when the graph is replayed.
  if (Capture* capture = stream_of(stream).capture.get(); capture && (pageable(to) || pageable(from))) {
    capture->invalidated = true;
    return report(cudaErrorStreamCaptureUnsupported);
  }
  return enqueue(stream, [=] { std::memcpy(to, from, bytes); });
}

cudaError_t cudaMemset(void* to, int value, std::size_t bytes) {
  if (cudaError_t error = forbid_in_capture(); error != cudaSuccess) return error;
  return cudaMemsetAsync(to, value, bytes, nullptr);
}

cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  if (bytes == 0) return cudaSuccess;
  if (pageable(to)) return report(cudaErrorInvalidValue);
  return enqueue(stream, [=] { std::memset(to, value, bytes); });
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  const std::lock_guard lock(registry_mutex);
  *free = kDeviceBytes - device_bytes;
  *total = kDeviceBytes;
  return cudaSuccess;
}

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
  Capture* capture = stream_of(stream).capture.get();
  if (!capture) return cudaSuccess;
  capture->invalidated = true;
  return report(cudaErrorStreamCaptureUnsupported);
}

cudaError_t cudaStreamQuery(cudaStream_t stream) {
  return cudaStreamSynchronize(stream);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
  const std::shared_ptr<Capture> capture = event->capture.lock();
  if (!event->captured) {
    // An event from outside would make the replayed graph depend on what ran while it was recorded.
    Capture* own = stream_of(stream).capture.get();
    if (!own || !event->recorded) return cudaSuccess;
    own->invalidated = true;
    return report(cudaErrorStreamCaptureUnsupported);
  }
  if (!capture) return report(cudaErrorCapturedEvent);
  if (!stream_of(stream).capture) {
    stream_of(stream).capture = capture;
    capture->joined.push_back(stream);
  }
  // Waited for up to the event: of later work of its stream the capture's end will complain.
  if (stream == capture->origin && event->position >= capture->last[event->stream]) {
    std::erase(capture->joined, event->stream);
    if (event->stream != capture->origin) stream_of(event->stream).capture = nullptr;
  }
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
  event->position = capture ? capture->last[stream] : 0;
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
  for (cudaStream_t joined : capture->joined) stream_of(joined).capture = nullptr;
  if (capture->invalidated) return report(cudaErrorStreamCaptureInvalidated);
  if (!capture->joined.empty()) return report(cudaErrorStreamCaptureUnjoined);
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

cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}

cudaError_t cudaGetDevice(int* device) {
  *device = 0;
  return cudaSuccess;
}

cudaError_t cudaSetDevice(int device) {
  return report(device == 0 ? cudaSuccess : cudaErrorInvalidDevice);
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int device) {
  if (device != 0) return report(cudaErrorInvalidDevice);
  *p = cudaDeviceProp{
      "simt on the host", kDeviceBytes, kDefaultSharedBytes, kMaxSharedBytes, 9, 0, 4, warpSize, kMaxThreads, 2048,
      50 << 20,           5120};
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  cudaDeviceProp p;
  if (cudaError_t error = cudaGetDeviceProperties(&p, device); error != cudaSuccess) return error;
  switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock:
      *value = p.maxThreadsPerBlock;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = static_cast<int>(p.sharedMemPerBlock);
      return cudaSuccess;
    case cudaDevAttrWarpSize:
      *value = p.warpSize;
      return cudaSuccess;
    case cudaDevAttrMultiProcessorCount:
      *value = p.multiProcessorCount;
      return cudaSuccess;
    case cudaDevAttrL2CacheSize:
      *value = p.l2CacheSize;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMajor:
      *value = p.major;
      return cudaSuccess;
    case cudaDevAttrComputeCapabilityMinor:
      *value = p.minor;
      return cudaSuccess;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(p.sharedMemPerBlockOptin);
      return cudaSuccess;
  }
  return report(cudaErrorInvalidValue);
}

cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  return cudaDriverGetVersion(version);
}

cudaError_t cudaGetLastError() {
  return std::exchange(last_error, cudaSuccess);
}
cudaError_t cudaPeekAtLastError() {
  return last_error;
}

namespace {

struct ErrorText {
  cudaError_t error;
  const char *name, *text;
};

constexpr ErrorText kErrorTexts[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched", "capture was not initiated in this stream"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined", "capturing stream has unjoined work"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
};

ErrorText describe(cudaError_t error) {
  for (const ErrorText& e : kErrorTexts)
    if (e.error == error) return e;
  return {error, "cudaErrorUnknown", "unknown error"};
}

}  // namespace

const char* cudaGetErrorName(cudaError_t error) {
  return describe(error).name;
}
const char* cudaGetErrorString(cudaError_t error) {
  return describe(error).text;
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
  if (value < 0 || static_cast<std::size_t>(value) > kMaxSharedBytes) return report(cudaErrorInvalidValue);
  const std::lock_guard lock(attributes_mutex);
  dynamic_shared_limits()[kernel] = static_cast<std::size_t>(value);
  return cudaSuccess;
}

cudaError_t cudaFuncGetName(const char** name, const void* kernel) {
  *name = name_of_kernel(kernel);
  return cudaSuccess;
}

// CUDA streams and graphs behind kernels/stream.h.
#include "kernels/stream.h"

#include "kernels/cuda/runtime.h"
#include "kernels/cuda/status.h"

namespace otnfm::cuda {

bool available(std::string* reason) {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return true;
  cudaGetLastError();
  if (reason) *reason = status == cudaSuccess ? "no GPU was found" : cudaGetErrorString(status);
  return false;
}

std::string describe_device() {
  cudaDeviceProp p;
  if (cudaGetDeviceProperties(&p, 0) != cudaSuccess) return "none";
  return std::string(p.name) + " (sm_" + std::to_string(p.major) + std::to_string(p.minor) + ", " +
         std::to_string(p.totalGlobalMem >> 30) + " GiB)";
}

CUstream_st* open_stream() {
  cudaStream_t stream = nullptr;
  require_success(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "creating a stream");
  return stream;
}

void close_stream(CUstream_st* stream) noexcept {
  cudaStreamDestroy(stream);
}

void synchronize(CUstream_st* stream) {
  require_success(cudaStreamSynchronize(stream), "waiting for a stream");
}

void* open_fence() {
  cudaEvent_t event = nullptr;
  require_success(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "creating an event");
  return event;
}

void close_fence(void* fence) noexcept {
  cudaEventDestroy(static_cast<cudaEvent_t>(fence));
}

void set_fence(void* fence, CUstream_st* stream) {
  require_success(cudaEventRecord(static_cast<cudaEvent_t>(fence), stream), "recording an event");
}

void wait_for_fence(void* fence) {
  require_success(cudaEventSynchronize(static_cast<cudaEvent_t>(fence)), "waiting for an event");
}

void begin_capture(CUstream_st* stream) {
  require_success(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "beginning a graph capture");
}

void* end_capture(CUstream_st* stream) {
  cudaGraph_t graph = nullptr;
  require_success(cudaStreamEndCapture(stream, &graph), "ending a graph capture");
  cudaGraphExec_t executable = nullptr;
  const cudaError_t status = cudaGraphInstantiate(&executable, graph, 0);
  cudaGraphDestroy(graph);
  require_success(status, "instantiating a graph");
  return executable;
}

void abandon_capture(CUstream_st* stream) noexcept {
  cudaGraph_t graph = nullptr;
  cudaStreamEndCapture(stream, &graph);
  if (graph) cudaGraphDestroy(graph);
  cudaGetLastError();
}

void launch_graph(void* graph, CUstream_st* stream) {
  require_success(cudaGraphLaunch(static_cast<cudaGraphExec_t>(graph), stream), "launching a graph");
}

void destroy_graph(void* graph) noexcept {
  cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(graph));
}

}  // namespace otnfm::cuda

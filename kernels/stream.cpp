#include "kernels/stream.h"

#include <fstream>
#include <thread>
#include <utility>

#include "kernels/cuda/library/cublas.h"
#include "kernels/cuda/library/cudnn.h"
#include "kernels/cuda/runtime.h"
#include "kernels/dispatch.h"
#include "kernels/error.h"
#include "kernels/host/parallel.h"
#include "kernels/host/processor.h"
#include "kernels/memory.h"

namespace otnfm {

bool cuda_built() {
  return kHaveCuda;
}

bool cuda_available(std::string* reason) {
  if constexpr (kHaveCuda) return cuda::available(reason);
  if (reason) *reason = "built without CUDA";
  return false;
}

namespace {

std::string describe_cpu() {
  std::string name = "CPU";
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.rfind("model name", 0) == 0 && line.find(": ") != std::string::npos) {
      name = line.substr(line.find(": ") + 2);
      break;
    }
  const int threads = host::thread_count();
  return name + ", " + std::to_string(threads) + (threads == 1 ? " thread" : " threads") + ", loops for " +
         host::name_of(host::processor());
}

}  // namespace

std::string describe(Device device) {
  if (device == Device::cpu) return describe_cpu();
  if constexpr (kHaveCuda) return cuda::describe_device();
  return "none";
}

Stream::Stream(Device device) : device_(device) {
  if (device == Device::cuda) {
    std::string reason;
    if (!cuda_available(&reason)) throw RunError("no CUDA device: " + reason);
    if constexpr (kHaveCuda) {
      cuda_ = cuda::open_stream();
      blas_ = cuda::cublas::open();
    }
  }
  workspace_ = static_cast<std::byte*>(allocate(device, kWorkspaceBytes, "the workspace of a stream"));
}

Stream::~Stream() {
  if (workspace_) deallocate(device_, workspace_);
  if constexpr (kHaveCuda) {
    if (dnn_) cuda::cudnn::close(dnn_);
    if (blas_) cuda::cublas::close(blas_);
    if (cuda_) cuda::close_stream(cuda_);
  }
}

Stream::Stream(Stream&& other) noexcept
    : device_(other.device_),
      cuda_(std::exchange(other.cuda_, nullptr)),
      blas_(std::exchange(other.blas_, nullptr)),
      dnn_(std::exchange(other.dnn_, nullptr)),
      workspace_(std::exchange(other.workspace_, nullptr)) {}

Stream& Stream::operator=(Stream&& other) noexcept {
  std::swap(device_, other.device_);
  std::swap(cuda_, other.cuda_);
  std::swap(blas_, other.blas_);
  std::swap(dnn_, other.dnn_);
  std::swap(workspace_, other.workspace_);
  return *this;
}

void Stream::synchronize() {
  if constexpr (kHaveCuda)
    if (on_cuda()) cuda::synchronize(cuda_);
}

Fence::Fence(Device device) {
  if constexpr (kHaveCuda)
    if (device == Device::cuda) handle_ = cuda::open_fence();
}

Fence::~Fence() {
  if constexpr (kHaveCuda)
    if (handle_) cuda::close_fence(handle_);
}

void Fence::set(Stream& stream) {
  if constexpr (kHaveCuda)
    if (handle_) cuda::set_fence(handle_, stream.cuda());
}

void Fence::wait() {
  if constexpr (kHaveCuda)
    if (handle_) cuda::wait_for_fence(handle_);
}

Graph::~Graph() {
  if constexpr (kHaveCuda)
    if (handle_) cuda::destroy_graph(handle_);
}

Graph::Graph(Graph&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}

Graph& Graph::operator=(Graph&& other) noexcept {
  std::swap(handle_, other.handle_);
  return *this;
}

void Graph::begin(Stream& stream) {
  if (!stream.on_cuda()) throw RunError("a graph can be captured on a CUDA stream only");
  if constexpr (kHaveCuda) cuda::begin_capture(stream.cuda());
}

Graph Graph::end(Stream& stream) {
  Graph graph;
  if constexpr (kHaveCuda) graph.handle_ = cuda::end_capture(stream.cuda());
  return graph;
}

void Graph::abandon(Stream& stream) noexcept {
  if constexpr (kHaveCuda) cuda::abandon_capture(stream.cuda());
}

void Graph::launch(Stream& stream) const {
  if constexpr (kHaveCuda) cuda::launch_graph(handle_, stream.cuda());
}

}  // namespace otnfm

// Device and pinned memory, and copies.
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "runtime.h"

namespace simt {
namespace {

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
  if (is_capturing(stream) && (pageable(to) || pageable(from))) return forbid_in_capture(stream);
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

#include "kernels/memory.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <string>

#include "kernels/cuda/runtime.h"
#include "kernels/dispatch.h"
#include "kernels/error.h"

namespace otnfm {
namespace {

constexpr std::size_t kAlignment = 256;

struct Held {
  std::atomic<std::size_t> now{0}, most{0};
};
Held held[2];  // by Device

void* allocate_on_host(std::size_t bytes) {
  // Of exactly this size (aligned_alloc would want it rounded up), so that a sanitizer sees the first byte behind it.
  void* pointer = nullptr;
  return posix_memalign(&pointer, kAlignment, bytes) == 0 ? pointer : nullptr;
}

}  // namespace

void* allocate(Device device, std::size_t bytes, const char* purpose) {
  if (bytes == 0) return nullptr;
  void* pointer = nullptr;
  if (device == Device::cpu) pointer = allocate_on_host(bytes);
  if constexpr (kHaveCuda)
    if (device == Device::cuda) pointer = cuda::allocate(bytes);
  if (!pointer)
    throw RunError("out of memory on " + std::string(name_of(device)) + ": " + std::to_string(bytes) + " bytes for " +
                   purpose);
  return pointer;
}

void* allocate_staging(Device device, std::size_t bytes, const char* purpose) {
  if (device == Device::cpu || bytes == 0) return allocate(Device::cpu, bytes, purpose);
  void* pointer = nullptr;
  if constexpr (kHaveCuda) pointer = cuda::allocate_staging(bytes);
  if (!pointer)
    throw RunError("out of page-locked memory: " + std::to_string(bytes) + " bytes for " + std::string(purpose));
  return pointer;
}

void deallocate_staging(Device device, void* pointer) noexcept {
  if (device == Device::cpu) return deallocate(Device::cpu, pointer);
  if constexpr (kHaveCuda) cuda::deallocate_staging(pointer);
}

void deallocate(Device device, void* pointer) noexcept {
  if (device == Device::cpu) std::free(pointer);
  if constexpr (kHaveCuda)
    if (device == Device::cuda) cuda::deallocate(pointer);
}

void copy_bytes(Stream& stream, void* to, const void* from, std::size_t bytes) {
  if (bytes == 0) return;
  if constexpr (kHaveCuda)
    if (stream.on_cuda()) return cuda::copy_bytes(stream, to, from, bytes);
  std::memcpy(to, from, bytes);
}

void zero_bytes(Stream& stream, void* to, std::size_t bytes) {
  if (bytes == 0) return;
  if constexpr (kHaveCuda)
    if (stream.on_cuda()) return cuda::zero_bytes(stream, to, bytes);
  std::memset(to, 0, bytes);
}

std::size_t free_bytes(Device device) {
  if constexpr (kHaveCuda)
    if (device == Device::cuda) return cuda::free_bytes();
  return std::numeric_limits<std::size_t>::max();
}

std::size_t peak_bytes(Device device) {
  return held[static_cast<int>(device)].most.load();
}

Memory::Memory(Device device, std::size_t bytes, const char* purpose)
    : pointer_(allocate(device, bytes, purpose), Free{device, bytes}) {
  Held& on_device = held[static_cast<int>(device)];
  const std::size_t now = on_device.now += bytes;
  std::size_t most = on_device.most.load();
  while (now > most && !on_device.most.compare_exchange_weak(most, now)) {
  }
}

void Memory::Free::operator()(void* pointer) const noexcept {
  held[static_cast<int>(device)].now -= bytes;
  deallocate(device, pointer);
}

StagingMemory::StagingMemory(Device device, std::size_t bytes, const char* purpose)
    : pointer_(allocate_staging(device, bytes, purpose), Free{device}) {}

}  // namespace otnfm

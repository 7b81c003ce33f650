// Raw memory on a device. Allocations are 256-byte aligned; nothing here is on a hot path.
#pragma once

#include <cstddef>
#include <memory>
#include <new>

#include "kernels/stream.h"

namespace otnfm {

/// Thrown where the host has not enough memory, by code that does not know what the memory is for. The functions that
/// a caller sees turn it into a RunError that says so (naming_memory() of kernels/host_vector.h).
struct OutOfMemory : std::bad_alloc {
  explicit OutOfMemory(std::size_t wanted) : bytes(wanted) {}
  const char* what() const noexcept override { return "out of memory"; }
  std::size_t bytes;
};

/// Throws RunError that says how much was asked for, and what for.
void* allocate(Device device, std::size_t bytes, const char* purpose);
void deallocate(Device device, void* pointer) noexcept;

/// Host memory that `device` copies from while the host goes on: page-locked for CUDA, plain for the CPU.
void* allocate_staging(Device device, std::size_t bytes, const char* purpose);
void deallocate_staging(Device device, void* pointer) noexcept;

/// Copies between any two devices, ordered on `stream`. Host memory that is not pinned makes it synchronous on CUDA.
void copy_bytes(Stream& stream, void* to, const void* from, std::size_t bytes);
void zero_bytes(Stream& stream, void* to, std::size_t bytes);

/// The bytes that are free on a device at this moment. Of the host the largest number there is: it promises more memory
/// than it has, so that no figure would mean much.
std::size_t free_bytes(Device device);

/// The most bytes of a device that Memory has held at any moment so far, in the whole process.
std::size_t peak_bytes(Device device);

/// Owns one allocation.
class Memory {
 public:
  Memory() = default;
  Memory(Device device, std::size_t bytes, const char* purpose);

  std::byte* data() const { return static_cast<std::byte*>(pointer_.get()); }
  std::size_t bytes() const { return pointer_.get_deleter().bytes; }
  Device device() const { return pointer_.get_deleter().device; }

 private:
  struct Free {
    Device device;
    std::size_t bytes;
    void operator()(void* pointer) const noexcept;
  };
  std::unique_ptr<void, Free> pointer_{nullptr, Free{Device::cpu, 0}};
};

/// Owns one allocation of staging memory.
class StagingMemory {
 public:
  StagingMemory() = default;
  StagingMemory(Device device, std::size_t bytes, const char* purpose);

  std::byte* data() const { return static_cast<std::byte*>(pointer_.get()); }

 private:
  struct Free {
    Device device;
    void operator()(void* pointer) const noexcept { deallocate_staging(device, pointer); }
  };
  std::unique_ptr<void, Free> pointer_;
};

}  // namespace otnfm

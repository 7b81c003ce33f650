// Stream: where an op runs. It carries the device, the CUDA stream, the library handles and a workspace, and is the
// first argument of every op. One thread uses a Stream at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

struct CUstream_st;

namespace otnfm {

enum class Device : std::uint8_t { cpu, cuda };

constexpr const char* name_of(Device device) {
  return device == Device::cpu ? "cpu" : "cuda";
}

/// The CUDA kernels are built in.
bool cuda_built();

/// A CUDA device is built in and one answers (under simt: always). `reason`, if given, receives why not.
bool cuda_available(std::string* reason = nullptr);

/// "NVIDIA H100 (sm_90, 80 GB)", or the processor's name and the number of threads.
std::string describe(Device device);

class Stream {
 public:
  /// Throws RunError where the device is not there.
  explicit Stream(Device device);
  ~Stream();
  Stream(Stream&&) noexcept;
  Stream& operator=(Stream&&) noexcept;

  Device device() const { return device_; }
  bool on_cuda() const { return device_ == Device::cuda; }

  /// The CUDA stream; null on the CPU.
  CUstream_st* cuda() const { return cuda_; }

  /// Scratch memory of at least `kWorkspaceBytes` on the device, for one op at a time. Its content does not outlive the
  /// op.
  static constexpr std::size_t kWorkspaceBytes = std::size_t{32} << 20;
  std::byte* workspace() const { return workspace_; }

  /// The cuBLASLt handle (kernels/cuda/library/); null on the CPU.
  void* blas() const { return blas_; }

  /// What kernels/cuda/library/cudnn.cu keeps, which makes it at the stream's first convolution; null before.
  void*& dnn() { return dnn_; }

  /// Whether ops check their arguments on this stream. A program that is run again and again with the same arguments
  /// checks them once.
  bool checks_arguments() const { return checks_arguments_; }

  /// While it lives, ops on the stream do not check their arguments (if `holds`).
  class Unchecked {
   public:
    Unchecked(Stream& stream, bool holds) : stream_(stream), before_(stream.checks_arguments_) {
      if (holds) stream.checks_arguments_ = false;
    }
    ~Unchecked() { stream_.checks_arguments_ = before_; }
    Unchecked(const Unchecked&) = delete;
    Unchecked& operator=(const Unchecked&) = delete;

   private:
    Stream& stream_;
    bool before_;
  };

  /// While it lives, ops on the stream go to another CUDA stream, the caller's, with this one's handles and workspace.
  /// Null: nothing changes.
  class Redirected {
   public:
    Redirected(Stream& stream, CUstream_st* to) : stream_(stream), before_(stream.cuda_) {
      if (to != nullptr) stream.cuda_ = to;
    }
    ~Redirected() { stream_.cuda_ = before_; }
    Redirected(const Redirected&) = delete;
    Redirected& operator=(const Redirected&) = delete;

   private:
    Stream& stream_;
    CUstream_st* before_;
  };

  /// Waits for everything that was put on this stream. Throws RunError where something failed.
  void synchronize();

 private:
  Device device_;
  CUstream_st* cuda_ = nullptr;
  void* blas_ = nullptr;
  void* dnn_ = nullptr;
  std::byte* workspace_ = nullptr;
  bool checks_arguments_ = true;
};

/// A place in a stream's work that the host can wait for. On the CPU everything is done at once, so nothing waits.
class Fence {
 public:
  explicit Fence(Device device);
  ~Fence();
  Fence(const Fence&) = delete;
  Fence& operator=(const Fence&) = delete;

  /// Behind everything that was put on the stream so far.
  void set(Stream& stream);
  /// Until what was before the last set() is done; at once where there was none. Any thread may wait.
  void wait();

 private:
  void* handle_ = nullptr;
};

/// A sequence of ops on a CUDA stream, captured once and replayed with one launch. On the CPU there is no such thing.
class Graph {
 public:
  Graph() = default;
  ~Graph();
  Graph(Graph&&) noexcept;
  Graph& operator=(Graph&&) noexcept;

  /// Runs `record` with `stream` in capture mode: its ops are recorded, not run. Anything that allocates or waits
  /// throws.
  template <class F>
  static Graph capture(Stream& stream, F&& record) {
    begin(stream);
    try {
      record();
    } catch (...) {
      abandon(stream);
      throw;
    }
    return end(stream);
  }

  explicit operator bool() const { return handle_ != nullptr; }
  void launch(Stream& stream) const;

 private:
  static void begin(Stream& stream);
  static Graph end(Stream& stream);
  static void abandon(Stream& stream) noexcept;
  void* handle_ = nullptr;
};

}  // namespace otnfm

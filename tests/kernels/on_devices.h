// For tests of an op beside its cases: the devices of this build, and small arrays on them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "kernels/memory.h"
#include "kernels/view.h"

namespace otnfm {

inline std::vector<Device> devices_at_hand() {
  std::vector<Device> devices = {Device::cpu};
  if (cuda_available()) devices.push_back(Device::cuda);
  return devices;
}

template <class T>
class DeviceArray {
 public:
  DeviceArray(Stream& stream, const std::vector<T>& values)
      : stream_(stream), n_(values.size()), memory_(stream.device(), n_ * sizeof(T), "a test") {
    copy_bytes(stream, memory_.data(), values.data(), n_ * sizeof(T));
    stream.synchronize();
  }

  T* data() const { return reinterpret_cast<T*>(memory_.data()); }
  View<T> vector() const { return {data(), {static_cast<std::int64_t>(n_)}}; }
  View<T> matrix(std::int64_t rows, std::int64_t columns) const { return {data(), {rows, columns}}; }

  std::vector<T> values() const {
    std::vector<T> copy(n_);
    copy_bytes(stream_, copy.data(), memory_.data(), n_ * sizeof(T));
    stream_.synchronize();
    return copy;
  }

 private:
  Stream& stream_;
  std::size_t n_;
  Memory memory_;
};

}  // namespace otnfm

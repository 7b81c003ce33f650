// All weights of a model in five flat vectors (value, gradient, first and second moment, moving average), so that the
// norm of the gradient and the optimiser's update are one kernel each whatever the model is made of.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "engine/core/tensor.h"
#include "kernels/memory.h"

namespace otnfm {

/// A weight's place among the parameters.
struct Parameter {
  int index = -1;
};

/// How a weight starts.
struct Initial {
  enum class Kind { zeros, constant, uniform, normal } kind = Kind::zeros;
  double value = 0;  ///< constant: the value; uniform: on [-value, value]; normal: the standard deviation
  static Initial zeros() { return {}; }
  static Initial constant(double value) { return {Kind::constant, value}; }
  static Initial uniform(double bound) { return {Kind::uniform, bound}; }
  static Initial normal(double standard_deviation) { return {Kind::normal, standard_deviation}; }
};

class Parameters {
 public:
  /// Declares a weight. Names are unique; `decayed` ones take part in weight decay (matrices do, biases do not).
  /// Throws InputError once `allocate` was called.
  Parameter add(std::string name, Shape shape, Initial initial, bool decayed);

  /// Declares numbers that lie among the weights, in model files and in a run's state too, but that no gradient
  /// reaches: what an op carries from step to step. The optimiser leaves them as they are, since their gradient is 0.
  Parameter add_buffer(std::string name, Shape shape, Initial initial);

  /// Lays all weights out and fills them from the seed: the same values on every device. Without `training` there are
  /// the values alone; the other flat vectors are empty.
  void allocate(Device device, std::uint64_t seed, bool training = true);
  bool allocated() const { return allocated_; }
  /// Where they lie; the CPU before `allocate`.
  Device device() const { return memory_.device(); }

  std::int64_t count() const { return static_cast<std::int64_t>(entries_.size()); }
  std::int64_t weight_count() const;  ///< numbers in all, without buffers and the padding between weights
  const std::string& name(int index) const { return entries_[index].name; }
  const Shape& shape(int index) const { return entries_[index].shape; }

  View<float> value(Parameter p) const { return slice(values_, p); }
  View<float> gradient(Parameter p) const { return slice(gradients_, p); }

  /// A copy of all values in bfloat16, which products of that precision read: made here, anew at every call, and kept
  /// up to date by the optimiser from then on.
  void make_working_copy(Stream& stream);
  /// Where nothing reads it. Tapes that do must not run any more.
  void drop_working_copy();
  /// No memory where there is none.
  View<bfloat16> working_copy(Parameter p) const;
  View<bfloat16> working_copies() const { return working_; }

  // The flat vectors [n], padding (always 0) included. The first `decayed_count` take part in weight decay.
  View<float> values() const { return values_; }
  View<float> gradients() const { return gradients_; }
  View<float> first_moments() const { return first_moments_; }
  View<float> second_moments() const { return second_moments_; }
  View<float> averages() const { return averages_; }
  std::int64_t decayed_count() const { return decayed_count_; }

  /// One weight out of any of the flat vectors above.
  View<float> slice(const View<float>& flat, Parameter p) const;

 private:
  struct Entry {
    std::string name;
    Shape shape;
    Initial initial;
    bool decayed;
    bool buffer = false;
    std::int64_t offset = 0;
  };
  std::vector<Entry> entries_;
  std::unordered_set<std::string> names_;  // a search of entries_ would take hours for a file that declares many
  Memory memory_;
  View<float> values_, gradients_, first_moments_, second_moments_, averages_;
  Memory working_memory_;
  View<bfloat16> working_;
  std::int64_t decayed_count_ = 0;
  bool allocated_ = false;
};

}  // namespace otnfm

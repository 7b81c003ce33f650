#include "engine/core/tape.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string_view>

#include "kernels/check.h"
#include "kernels/copy.h"
#include "kernels/elementwise.h"
#include "kernels/fill.h"
#include "kernels/finite.h"

namespace otnfm {
namespace {

// Until the plan is made a tensor's address is one that no memory has: bit 62, then the tensor's number, then 2^34
// bytes of room for offsets into it.
constexpr std::uintptr_t kPlanBit = std::uintptr_t{1} << 62;
constexpr int kRoomBits = 34;
constexpr std::size_t kTensorAlignment = 64;

bool is_plan_address(const void* address) {
  return (reinterpret_cast<std::uintptr_t>(address) & kPlanBit) != 0;
}

std::size_t plan_index(const void* address) {
  return (reinterpret_cast<std::uintptr_t>(address) & (kPlanBit - 1)) >> kRoomBits;
}

std::size_t bytes_of(const Shape& shape, DType dtype) {
  std::size_t n = size_of(dtype);
  for (std::int64_t size : shape) {
    if (size < 0) throw InputError("a tensor has the negative size " + std::to_string(size));
    if (size != 0 && n > (std::size_t{1} << kRoomBits) / static_cast<std::size_t>(size))
      throw InputError("a tensor is larger than 16 GiB");
    n *= static_cast<std::size_t>(size);
  }
  return n;
}

/// All of it as one row.
View<Stored> as_row(const Tensor& tensor) {
  View<Stored> row = tensor.stored();
  static_cast<Extents&>(row) = Extents{1, tensor.size()};
  return row;
}

}  // namespace

namespace tape_detail {

void require_finite(Stream& stream, const View<Stored>& view, const std::string& where) {
  if (view.empty() || !view.data) return;
  const Memory memory(stream.device(), sizeof(std::uint64_t), "the count of numbers that are not finite");
  const View<std::uint64_t> count(reinterpret_cast<std::uint64_t*>(memory.data()), {1});
  View<const Stored> x = view;
  if (view.rank != 2) static_cast<Extents&>(x) = Extents{1, view.size()};
  count_nonfinite(stream, {.x = x, .count = count});
  std::uint64_t found = 0;
  copy_bytes(stream, &found, memory.data(), sizeof(found));
  stream.synchronize();
  if (found != 0)
    throw RunError(where + ": " + std::to_string(found) + " of " + std::to_string(view.size()) +
                   " numbers of an output " + describe(view) + " are NaN or infinite");
}

}  // namespace tape_detail

Tape::Tape(Device device, Options options) : device_(device), options_(options) {
  static std::atomic<std::uint64_t> tapes{0};
  serial_ = ++tapes;
}

// --- Recording -------------------------------------------------------------------------------------------------------

Tensor Tape::make_tensor(const Shape& shape, DType dtype, void* address) {
  if (planned_) throw InputError("the tape is already planned: nothing can be recorded any more");
  if (shape.empty() || shape.size() > kMaxRank) throw InputError("a tensor has rank " + std::to_string(shape.size()));
  Tensor tensor;
  tensor.id_ = static_cast<int>(values_.size());
  tensor.rank_ = static_cast<int>(shape.size());
  tensor.dtype_ = dtype;
  std::copy(shape.begin(), shape.end(), tensor.shape_.begin());
  tensor.address_ = address;
  values_.emplace_back();
  return tensor;
}

Tensor Tape::make(const Shape& shape, DType dtype) {
  const std::size_t bytes = bytes_of(shape, dtype);
  void* address = reinterpret_cast<void*>(kPlanBit | (plan_.size() << kRoomBits));
  plan_.push_back({.bytes = bytes});
  return make_tensor(shape, dtype, address);
}

Tensor Tape::external(void* data, const Shape& shape, DType dtype) {
  return make_tensor(shape, dtype, data);
}

Tensor Tape::parameter(const Parameters& parameters, Parameter p) {
  const View<float> value = parameters.value(p);
  if (const auto found = parameters_.find(value.data); found != parameters_.end()) return found->second;
  const Shape& shape = parameters.shape(p.index);
  const Tensor tensor = make_tensor(shape, DType::float32, value.data);
  if (learns()) {
    const Tensor slot = make_tensor(shape, DType::float32, parameters.gradient(p).data);
    values_[tensor.id_].wants_gradient = true;
    values_[tensor.id_].gradient_slot = slot;
  }
  if (const View<bfloat16> working = parameters.working_copy(p); working.data != nullptr) {
    const Tensor copy = make_tensor(shape, DType::bfloat16, working.data);
    values_[tensor.id_].working_copy = copy;
  }
  parameters_.emplace(value.data, tensor);
  return tensor;
}

Tensor Tape::working_copy(const Tensor& weight) {
  const Tensor copy = values_.at(weight.id_).working_copy;
  reads_working_copies_ = reads_working_copies_ || copy.defined();
  return copy;
}

Tensor Tape::reshape(const Tensor& tensor, const Shape& shape) const {
  if (shape.empty() || shape.size() > kMaxRank) throw InputError("a tensor has rank " + std::to_string(shape.size()));
  std::int64_t size = 1;
  for (std::int64_t length : shape) size *= length;
  if (size != tensor.size())
    throw InputError("a tensor of " + std::to_string(tensor.size()) + " elements was given a shape of " +
                     std::to_string(size));
  Tensor reshaped = tensor;
  reshaped.rank_ = static_cast<int>(shape.size());
  std::copy(shape.begin(), shape.end(), reshaped.shape_.begin());
  return reshaped;
}

bool Tape::is_given(const Tensor& tensor) const {
  return !is_plan_address(tensor.address_);
}

void Tape::keep(const Tensor& tensor) {
  if (is_plan_address(tensor.address_)) plan_[plan_index(tensor.address_)].kept = true;
}

void Tape::begin_phase(const std::string& name) {
  phase_names_.push_back(name);
  phase_begins_.push_back(nodes_.size());
}

Node& Tape::append(const char* name, std::size_t bytes) {
  if (planned_) throw InputError("the tape is already planned: nothing can be recorded any more");
  const std::size_t offset = (arguments_.size() + 15) / 16 * 16;
  arguments_.resize(offset + bytes);
  nodes_.emplace_back();
  nodes_.back().name = name;
  nodes_.back().offset = offset;
  return nodes_.back();
}

void Tape::differentiate(std::initializer_list<Tensor> inputs, const Tensor& output,
                         void (*backward)(Tape&, const Node&), const Tensor& second_output) {
  bool wanted = false;
  Node& node = nodes_.back();
  int k = 0;
  for (const Tensor& input : inputs) {
    wanted = wanted || wants_gradient(input);
    node.inputs.at(k++) = input;
  }
  node.output = output;
  node.second_output = second_output;
  if (!wanted || !options_.training) return;
  node.backward = backward;
  values_[output.id_].wants_gradient = true;
  if (second_output.defined()) values_[second_output.id_].wants_gradient = true;
}

// --- Gradients -------------------------------------------------------------------------------------------------------

void Tape::want_gradient(const Tensor& tensor) {
  values_.at(tensor.id_).wants_gradient = true;
}

bool Tape::wants_gradient(const Tensor& tensor) const {
  return tensor.defined() && values_[tensor.id_].wants_gradient;
}

Tensor Tape::gradient(const Tensor& tensor) const {
  const Tensor& gradient = values_.at(tensor.id_).gradient;
  return gradient.defined() ? reshape(gradient, tensor.shape()) : gradient;
}

Tensor Tape::new_gradient(const Tensor& tensor) {
  Value& value = values_.at(tensor.id_);
  const bool slot_is_free = value.gradient_slot.defined() && !value.gradient.defined() && !value.slot_taken;
  if (!slot_is_free) return make(tensor.shape(), tensor.dtype());
  value.slot_taken = true;
  return reshape(value.gradient_slot, tensor.shape());
}

void Tape::add_gradient(const Tensor& tensor, const Tensor& gradient) {
  if (!wants_gradient(tensor)) return;
  if (gradient.shape() != tensor.shape()) throw InputError("a gradient has another shape than its tensor");
  if (gradient.dtype() != tensor.dtype())
    throw InputError(std::string("a gradient of ") + name_of(gradient.dtype()) + " for a tensor of " +
                     name_of(tensor.dtype()));
  const Tensor slot = values_[tensor.id_].gradient_slot, before = values_[tensor.id_].gradient;
  Tensor sum = gradient;
  if (before.defined()) {
    // Not in place, since `before` may also be the gradient of something else (dx = dy where y = x + ...), unless it is
    // a parameter's own slot.
    sum = slot.defined() ? slot : make(tensor.shape(), tensor.dtype());
    record(otnfm::add, Add{.a = as_row(before), .b = as_row(gradient), .y = as_row(sum)});
  } else if (slot.defined() && gradient.address_ != slot.address_) {
    record(otnfm::copy, Copy{.x = as_row(gradient), .y = as_row(slot)});
    sum = slot;
  }
  values_[tensor.id_].gradient = sum;
}

void Tape::backward(const Tensor& loss) {
  if (!options_.training) throw InputError("backward on a tape that is not for training");
  if (loss.shape() != Shape{1}) throw InputError("backward needs a loss of shape [1]");
  if (!wants_gradient(loss)) throw InputError("the loss depends on no parameter");
  const Tensor one = make({1});
  record(fill, Fill{.y = as_row(one).as<float>(), .value = 1.0f});
  backward_from(loss, one);
}

void Tape::backward_from(const Tensor& output, const Tensor& cotangent) {
  if (!options_.training) throw InputError("backward on a tape that is not for training");
  if (!wants_gradient(output)) throw InputError("the output depends on nothing that wants a gradient");
  add_gradient(output, cotangent);
  for (int k = static_cast<int>(nodes_.size()) - 1; k >= 0; --k) {
    const Node node = nodes_[k];  // a copy: the rule appends to nodes_
    const auto arrived = [&](const Tensor& output) {
      return output.defined() && values_[output.id_].gradient.defined();
    };
    if (node.backward && (arrived(node.output) || arrived(node.second_output))) node.backward(*this, node);
  }
  // A weight that the loss does not reach still has a gradient: zero, not what was there before.
  for (const auto& [address, tensor] : parameters_) {
    const Value& value = values_[tensor.id_];
    if (value.gradient_slot.defined() && !value.gradient.defined())
      record(fill, Fill{.y = as_row(value.gradient_slot).as<float>(), .value = 0.0f});
  }
}

// --- Planning --------------------------------------------------------------------------------------------------------

void Tape::touch(const void* address, int node) {
  if (!is_plan_address(address)) return;
  Planned& planned = plan_.at(plan_index(address));
  if (planned.first < 0) planned.first = node;
  planned.last = node;
}

void* Tape::resolve(const void* address) const {
  if (!is_plan_address(address)) return const_cast<void*>(address);
  const std::size_t index = plan_index(address);
  const std::size_t within = reinterpret_cast<std::uintptr_t>(address) & ((std::uintptr_t{1} << kRoomBits) - 1);
  std::byte* base = options_.debug_memory ? separate_.at(index).data() : memory_.data() + plan_.at(index).offset;
  return base ? base + within : nullptr;
}

void Tape::plan() {
  if (planned_) throw InputError("the tape was planned twice");
  for (std::size_t k = 0; k < nodes_.size(); ++k)
    nodes_[k].touch(arguments_.data() + nodes_[k].offset, *this, static_cast<int>(k));

  // Largest first, each at the lowest offset where it overlaps nothing that is alive at the same time (the
  // greedy-by-size rule of Pisarchyk and Lee, 2020).
  std::vector<std::size_t> order;
  for (std::size_t k = 0; k < plan_.size(); ++k) {
    // Exact where each has an allocation of its own, so that a sanitizer sees the first byte behind it.
    if (!options_.debug_memory)
      plan_[k].bytes = (plan_[k].bytes + kTensorAlignment - 1) / kTensorAlignment * kTensorAlignment;
    unshared_bytes_ += plan_[k].bytes;
    if (plan_[k].kept) plan_[k].last = static_cast<int>(nodes_.size());
    if (plan_[k].first >= 0 || plan_[k].kept) order.push_back(k);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return plan_[a].bytes > plan_[b].bytes; });
  std::vector<std::size_t> placed;  // by offset
  for (std::size_t k : order) {
    Planned& mine = plan_[k];
    std::size_t offset = 0;
    for (std::size_t other : placed) {
      const Planned& theirs = plan_[other];
      if (theirs.last < mine.first || mine.last < theirs.first) continue;
      if (offset + mine.bytes <= theirs.offset) break;
      offset = std::max(offset, theirs.offset + theirs.bytes);
    }
    mine.offset = offset;
    planned_bytes_ = std::max(planned_bytes_, offset + mine.bytes);
    placed.insert(std::upper_bound(placed.begin(), placed.end(), offset,
                                   [&](std::size_t o, std::size_t other) { return o < plan_[other].offset; }),
                  k);
  }

  if (options_.debug_memory) {
    for (const Planned& planned : plan_) separate_.emplace_back(device_, planned.bytes, "a tensor");
  } else {
    memory_ = Memory(device_, planned_bytes_, "activations");
  }
  for (Node& node : nodes_) node.relocate(arguments_.data() + node.offset, *this);
  if (phase_begins_.empty() || phase_begins_.front() != 0) {
    phase_names_.insert(phase_names_.begin(), "all");
    phase_begins_.insert(phase_begins_.begin(), 0);
  }
  planned_ = true;
}

// --- Running ---------------------------------------------------------------------------------------------------------

void Tape::run(Stream& stream) {
  if (!planned_) throw InputError("the tape was run before it was planned");
  // The arguments do not change any more: the first run's checks hold for all.
  const Stream::Unchecked unchecked(stream, runs_ > 0);
  if (options_.check_finite) {
    for (const Node& node : nodes_) {
      node.run(stream, arguments_.data() + node.offset);
      node.check(stream, arguments_.data() + node.offset,
                 std::string(node.name) + ", step " + std::to_string(first_run_ + runs_));
    }
  } else {
    for (const Node& node : nodes_) node.run(stream, arguments_.data() + node.offset);
  }
  ++runs_;
}

void Tape::run_timed(Stream& stream, std::vector<double>& seconds) {
  if (!planned_) throw InputError("the tape was run before it was planned");
  const Stream::Unchecked unchecked(stream, runs_ > 0);
  seconds.resize(phase_begins_.size());
  for (std::size_t phase = 0; phase < phase_begins_.size(); ++phase) {
    const std::size_t end = phase + 1 < phase_begins_.size() ? phase_begins_[phase + 1] : nodes_.size();
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t k = phase_begins_[phase]; k < end; ++k)
      nodes_[k].run(stream, arguments_.data() + nodes_[k].offset);
    stream.synchronize();
    seconds[phase] += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  ++runs_;
}

void Tape::run_timed_by_op(Stream& stream, std::map<std::string, double>& seconds) {
  if (!planned_) throw InputError("the tape was run before it was planned");
  const Stream::Unchecked unchecked(stream, runs_ > 0);
  for (const Node& node : nodes_) {
    const auto start = std::chrono::steady_clock::now();
    node.run(stream, arguments_.data() + node.offset);
    stream.synchronize();
    seconds[node.name] += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  ++runs_;
}

Graph Tape::capture(Stream& stream) {
  if (!planned_) throw InputError("the tape was captured before it was planned");
  if (options_.check_finite)
    throw InputError("a tape that checks its outputs cannot be captured: the check waits for the device");
  return Graph::capture(stream, [&] { run(stream); });
}

bool Tape::calls(const char* op) const {
  return std::any_of(nodes_.begin(), nodes_.end(), [&](const Node& node) { return std::string_view(node.name) == op; });
}

}  // namespace otnfm

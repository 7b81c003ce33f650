// Tape: a program of kernel calls, recorded once, its memory planned once, then run as often as wanted.
//
// An op on tensors (engine/core/ops.h) makes its output, records its kernel with {argument struct} and, where a
// gradient is wanted, names its backward rule: a plain function that records the backward's kernels behind the
// forward's. So `backward` only makes the program longer; a training step, the optimiser's update included, is one list
// of kernels with fixed pointers. It allocates nothing when it runs, and on CUDA it is captured as one graph.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/core/fields.h"
#include "engine/core/parameters.h"
#include "engine/core/tensor.h"
#include "kernels/memory.h"
#include "kernels/stream.h"

namespace otnfm {

class PackedWeights;

class Tape;

/// One kernel call of the program.
struct Node {
  static constexpr int kMaxInputs = 4;

  const char* name = "";
  void (*run)(Stream&, const std::byte* arguments) = nullptr;
  void (*relocate)(std::byte* arguments, const Tape& tape) = nullptr;   ///< plan addresses -> real ones
  void (*touch)(std::byte* arguments, Tape& tape, int node) = nullptr;  ///< tells the plan which tensors are in use
  void (*check)(Stream&, const std::byte* arguments,
                const std::string& where) = nullptr;  ///< throws on NaN in an output
  void (*backward)(Tape&, const Node&) = nullptr;
  std::size_t offset = 0;  ///< of the arguments in the tape's buffer
  std::array<Tensor, kMaxInputs> inputs;
  Tensor output;
  Tensor second_output;  ///< undefined where there is one output
};

class Tape {
 public:
  struct Options {
    bool training = true;       ///< false: nothing is kept for a backward pass, epilogues are fused
    bool debug_memory = false;  ///< every tensor has its own allocation: an overrun is seen by a sanitizer
    bool check_finite = false;  ///< after every kernel, its outputs are searched for NaN and infinity (slow)
    bool frozen = false;        ///< gradients flow to the tensors marked by `want_gradient` alone, not to the weights
    /// CPU, not for training: linear layers whose weights are given take them from here, packed. Such a layer does not
    /// allocate, and a row's result does not depend on the batch. It must outlive the tape.
    PackedWeights* packed_weights = nullptr;
  };

  explicit Tape(Device device, Options options);
  explicit Tape(Device device) : Tape(device, Options{}) {}

  Device device() const { return device_; }
  bool training() const { return options_.training; }
  /// Whether the weights learn by what is recorded here: a training step, and not the derivative of a finished map.
  bool learns() const { return options_.training && !options_.frozen; }
  /// A number that no other tape of this process has: by it a layer knows what it has recorded on this tape already.
  std::uint64_t serial() const { return serial_; }
  PackedWeights* packed_weights() const { return options_.packed_weights; }

  // --- Recording -----------------------------------------------------------------------------------------------------

  /// A value of the program, in memory that the plan shares among tensors that are not in use at the same time.
  /// Contents are undefined before an op writes them.
  Tensor make(const Shape& shape, DType dtype = DType::float32);

  /// Memory of the caller's, which must outlive the tape: a batch, a constant, a step counter. No gradient flows into
  /// it.
  template <class T>
  Tensor external(const View<T>& view) {
    if (!view.contiguous()) throw InputError("memory handed to a tape must be contiguous");
    return external(const_cast<std::remove_const_t<T>*>(view.data), Shape(view.shape, view.shape + view.rank),
                    dtype_of<T>);
  }

  /// A weight; its gradient is written to its slice of parameters.gradients().
  Tensor parameter(const Parameters& parameters, Parameter p);

  /// The bfloat16 copy of a weight that `parameter` gave, where the parameters have one; else undefined. No gradient
  /// flows into it: what is computed from it stands for the weight.
  Tensor working_copy(const Tensor& weight);
  /// Whether one was asked for, and there.
  bool reads_working_copies() const { return reads_working_copies_; }

  /// The same memory in another shape of as many elements; gradients flow through.
  Tensor reshape(const Tensor& tensor, const Shape& shape) const;

  /// Whether its numbers are there while recording: a weight's or the caller's, not made by an op.
  bool is_given(const Tensor& tensor) const;

  /// The value is read by the caller after a run: its memory is not reused.
  void keep(const Tensor& tensor);

  /// Appends a call of `op` with these arguments, which no gradient flows through.
  template <class Arguments>
  void record(void (*op)(Stream&, const Arguments&), const Arguments& arguments);

  /// Lets a gradient flow from `output`, which the call recorded last has made, to `inputs` (undefined ones are passed
  /// over) by `backward`. Nothing happens where no input wants a gradient. An op may have a second output: then the
  /// rule is called where a gradient has arrived at either, and must ask which.
  void differentiate(std::initializer_list<Tensor> inputs, const Tensor& output, void (*backward)(Tape&, const Node&),
                     const Tensor& second_output = {});

  /// Names what is recorded from here on ("forward", "backward", "update"), for the split of a step's time.
  void begin_phase(const std::string& name);

  // --- Gradients -----------------------------------------------------------------------------------------------------

  /// Records the backward pass: d loss / d parameter for every parameter on the tape, and for tensors marked by
  /// `want_gradient`. `loss` is [1].
  void backward(const Tensor& loss);

  /// The same from an output that is no loss: records the products of `cotangent`, of output's shape, with the
  /// derivatives of output. Once a tape, as `backward`.
  void backward_from(const Tensor& output, const Tensor& cotangent);

  /// Lets a gradient flow to a tensor that no op with a gradient has made.
  void want_gradient(const Tensor& tensor);
  bool wants_gradient(const Tensor& tensor) const;

  /// After `backward`: the gradient, undefined where none arrived. To read it after a run, `keep` it.
  Tensor gradient(const Tensor& tensor) const;

  // For backward rules. `new_gradient(x)` is where to write a gradient of x, stored as x is; `add_gradient(x,
  // dx)` hands it over (dx may also be another tensor of x's shape). Where a tensor is used twice its gradients are
  // added up.
  template <class Arguments>
  const Arguments& arguments(const Node& node) const;
  Tensor new_gradient(const Tensor& tensor);
  void add_gradient(const Tensor& tensor, const Tensor& gradient);

  // --- Running -------------------------------------------------------------------------------------------------------

  /// Ends the recording: gives every tensor its memory.
  void plan();

  /// The number that the next run has in errors (check_finite): a training step that goes on from step k.
  void set_run(std::uint64_t number) { first_run_ = number; }

  /// Runs the whole program once. On CUDA it returns before the work is done.
  void run(Stream& stream);

  /// Runs it once and adds each phase's seconds to `seconds` (one entry a phase); waits between phases.
  void run_timed(Stream& stream, std::vector<double>& seconds);
  const std::vector<std::string>& phases() const { return phase_names_; }

  /// Runs it once and adds the seconds of all calls of each op to `seconds`, by the op's kName; waits between calls.
  void run_timed_by_op(Stream& stream, std::map<std::string, double>& seconds);

  /// Captures the program as a graph (CUDA only).
  Graph capture(Stream& stream);

  /// A tensor's real address, after `plan`.
  template <class T = float>
  View<T> view(const Tensor& tensor) const {
    View<T> v = tensor.view<T>();
    v.data = static_cast<T*>(resolve(v.data));
    return v;
  }

  std::size_t node_count() const { return nodes_.size(); }
  /// Whether the op of this kName is among the kernels.
  bool calls(const char* op) const;
  /// body(arguments) for each call of the op of these arguments.
  template <class Arguments, class Body>
  void for_each_call(const Body& body) const {
    for (const Node& node : nodes_)
      if (std::string_view(node.name) == Arguments::kName) body(arguments<Arguments>(node));
  }
  std::size_t planned_bytes() const { return planned_bytes_; }    ///< memory that the plan uses
  std::size_t unshared_bytes() const { return unshared_bytes_; }  ///< memory that it would use without reuse

  // Used by the nodes' functions below.
  void* resolve(const void* address) const;
  void touch(const void* address, int node);

 private:
  struct Planned {
    std::size_t bytes = 0;
    int first = -1, last = -1;
    std::size_t offset = 0;
    bool kept = false;
  };

  struct Value {
    bool wants_gradient = false;
    Tensor gradient;          ///< undefined until one arrives
    Tensor gradient_slot;     ///< a parameter's place among the gradients
    bool slot_taken = false;  ///< new_gradient has handed it out
    Tensor working_copy;      ///< a weight's, if there is one
  };

  Tensor external(void* data, const Shape& shape, DType dtype);
  Tensor make_tensor(const Shape& shape, DType dtype, void* address);
  Node& append(const char* name, std::size_t bytes);

  Device device_;
  Options options_;
  std::uint64_t serial_;
  std::vector<Node> nodes_;
  std::vector<std::byte> arguments_;
  std::vector<Planned> plan_;
  std::vector<Value> values_;
  std::unordered_map<const float*, Tensor> parameters_;
  std::vector<std::string> phase_names_;
  std::vector<std::size_t> phase_begins_;
  Memory memory_;
  std::vector<Memory> separate_;  // debug_memory: one a tensor
  std::size_t planned_bytes_ = 0, unshared_bytes_ = 0;
  std::uint64_t runs_ = 0, first_run_ = 0;
  bool planned_ = false, reads_working_copies_ = false;
};

namespace tape_detail {

/// Throws RunError with the op's name where the view holds a NaN or an infinity.
void require_finite(Stream& stream, const View<Stored>& view, const std::string& where);

/// The op's address travels in front of its arguments, so that one function a struct runs it.
template <class Arguments>
struct Call {
  void (*op)(Stream&, const Arguments&);
  Arguments arguments;
};

}  // namespace tape_detail

template <class Arguments>
void Tape::record(void (*op)(Stream&, const Arguments&), const Arguments& arguments) {
  static_assert(std::is_trivially_copyable_v<Arguments>);
  using Call = tape_detail::Call<Arguments>;
  Node& node = append(Arguments::kName, sizeof(Call));
  new (arguments_.data() + node.offset) Call{op, arguments};
  node.run = [](Stream& stream, const std::byte* bytes) {
    const Call& call = *reinterpret_cast<const Call*>(bytes);
    call.op(stream, call.arguments);
  };
  node.relocate = [](std::byte* bytes, const Tape& tape) {
    for_each_view(reinterpret_cast<Call*>(bytes)->arguments,
                  [&](auto& view) { view.data = static_cast<decltype(view.data)>(tape.resolve(view.data)); });
  };
  node.touch = [](std::byte* bytes, Tape& tape, int index) {
    for_each_view(reinterpret_cast<Call*>(bytes)->arguments, [&](auto& view) { tape.touch(view.data, index); });
  };
  node.check = [](Stream& stream, const std::byte* bytes, const std::string& where) {
    for_each_view(reinterpret_cast<const Call*>(bytes)->arguments, [&](const auto& view) {
      if constexpr (std::is_convertible_v<decltype(view), View<Stored>>)
        tape_detail::require_finite(stream, view, where);
    });
  };
}

template <class Arguments>
const Arguments& Tape::arguments(const Node& node) const {
  return reinterpret_cast<const tape_detail::Call<Arguments>*>(arguments_.data() + node.offset)->arguments;
}

}  // namespace otnfm

// One struct an op: what tests/kernels checks and bench/kernels times. Adding an op to both is adding its cases here.
//
// A case names its buffers, runs the op on views of them, and gives a reference in double precision that shares no code
// with kernels/. The reference of a backward op is made from the forward's by central differences (`gradient_of`), so a
// backward is never checked against a derivation made by the same hand.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "kernels/error.h"
#include "kernels/stream.h"
#include "kernels/view.h"

namespace otnfm::cases {

enum class Role { input, output, in_out };

/// What an input is filled with before the run; outputs are poisoned with NaN (or 0xFF bytes).
struct Fill {
  enum class Kind { normal, uniform, integers, permutation, zeros } kind = Kind::normal;
  double low = 0, high = 1;  ///< of uniform; of integers: low <= k < high
  static Fill normal() { return {}; }
  static Fill uniform(double low, double high) { return {Kind::uniform, low, high}; }
  static Fill integers(double low, double high) { return {Kind::integers, low, high}; }
  static Fill permutation() { return {Kind::permutation, 0, 0}; }  ///< of 0 .. n - 1
  static Fill zeros() { return {Kind::zeros, 0, 0}; }
};

struct Buffer {
  std::string name;
  Role role;
  std::vector<std::int64_t> shape;
  DType dtype = DType::float32;
  Fill fill = {};
  bool may_pad = true;  ///< a matrix that the op takes with a gap between rows: the harness tries that
};

/// The buffers of one run, on the device that the op runs on. The harness places them: misaligned, padded, guarded.
class Buffers {
 public:
  struct Placed {
    void* data;
    DType dtype;
    int rank;
    std::int64_t shape[kMaxRank];
    std::int64_t stride[kMaxRank];
  };
  std::map<std::string, Placed> placed;

  template <class T>
  View<T> view(const std::string& name) const {
    const auto found = placed.find(name);
    if (found == placed.end()) throw InputError("no buffer is named " + name);
    const Placed& p = found->second;
    if (p.dtype != dtype_of<T>) throw InputError("buffer " + name + " is " + name_of(p.dtype));
    View<T> v;
    v.data = static_cast<T*>(p.data);
    v.rank = p.rank;
    for (int axis = 0; axis < kMaxRank; ++axis) v.shape[axis] = p.shape[axis], v.stride[axis] = p.stride[axis];
    return v;
  }
  /// float32 or bfloat16, as the buffer is.
  View<Stored> stored(const std::string& name) const {
    return placed.at(name).dtype == DType::bfloat16 ? View<Stored>(view<bfloat16>(name))
                                                    : View<Stored>(view<float>(name));
  }
  View<const float> in(const std::string& name) const { return view<float>(name); }
  View<float> out(const std::string& name) const { return view<float>(name); }
};

/// All buffers in double, dense and row-major, by name. The reference reads the inputs and fills the outputs.
using Values = std::map<std::string, std::vector<double>>;
using Reference = std::function<void(Values&)>;

struct Case {
  std::string op;       ///< the argument struct's kName
  std::string variant;  ///< what this case is about: "64x33", "bf16 nt 31x33x65"
  std::vector<Buffer> buffers;
  std::function<void(Stream&, const Buffers&)> run;
  Reference reference;
  /// Draws inputs anew at which the op is not continuous, or makes those that follow from others; or nothing.
  std::function<void(Values&, std::mt19937_64&)> draw_again = {};

  /// Largest |got - want| / max(|want|, root mean square of want) over an output.
  double tolerance = 1e-6;
  /// ||got - want|| / ||want|| over an output: no case of float32 needs more, however long its sums.
  double norm_tolerance = 1e-6;
  /// A second run gives the same bits, and so does simt with another thread order.
  bool deterministic = true;
  /// cpu and cuda give the same bits.
  bool same_on_every_backend = false;

  double bytes = 0;  ///< moved at least, for the roofline
  double flops = 0;
  bool bench = false;  ///< large enough to time; the tests leave it out
};

/// What `gradient_of` needs to know: which buffers of the backward are the forward's inputs, its outputs' gradients and
/// the gradients of its inputs.
struct Gradient {
  Reference forward;
  std::vector<std::pair<std::string, std::string>> outputs;  ///< (forward output, its upstream gradient): {"y", "dy"}
  std::vector<std::pair<std::string, std::string>> inputs;   ///< (forward input, its gradient): {"x", "dx"}
  double step = 1e-5;                                        ///< relative to max(1, |x|)
};

/// A reference for a backward op: d(sum of outputs * upstream)/d(input) by central differences of the forward reference
/// in double.
Reference gradient_of(Gradient gradient);

/// Every case of every op.
const std::vector<Case>& all();

/// The case with these of its buffers stored in bfloat16. Half a unit in the last place of their 8 bits is at most 2^-8
/// of a number: what a result rounded once is off by.
Case in_bfloat16(Case c, const std::vector<std::string>& buffers);

/// Registers cases at start-up: `static const Registration r(cases());`
struct Registration {
  explicit Registration(std::vector<Case> cases);
};

inline std::string label(std::initializer_list<std::int64_t> sizes) {
  std::string text;
  for (std::int64_t size : sizes) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

/// For the terms of a sum: a handful of sums may all cancel to nothing, and have no relative error to speak of, so few
/// of them are of positive numbers.
inline Fill terms(std::int64_t outputs) {
  return outputs < 64 ? Fill::uniform(0.5, 1.5) : Fill::normal();
}

/// (rows, columns) that every matrix op is tried with: empty, one, around the warp width, primes.
inline std::vector<std::pair<std::int64_t, std::int64_t>> odd_shapes() {
  return {{0, 5}, {5, 0}, {1, 1}, {1, 31}, {31, 1}, {2, 32}, {33, 2}, {31, 33}, {7, 257}, {127, 3}};
}

}  // namespace otnfm::cases

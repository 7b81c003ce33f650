#include "engine/core/parameters.h"

#include "kernels/copy.h"
#include "kernels/device/philox.h"

namespace otnfm {
namespace {

constexpr std::int64_t kAlignment = 16;  // floats: 64 bytes, a cache line and the widest vector
constexpr std::uint32_t kInitialStream = 0x1417;

std::int64_t size_of_shape(const Shape& shape) {
  std::int64_t n = 1;
  for (std::int64_t size : shape) n *= size;
  return n;
}

float draw(const Initial& initial, std::uint64_t seed, std::uint64_t weight, std::uint64_t element) {
  const PhiloxWords words = random_words(seed, kInitialStream, weight, element / 4);
  switch (initial.kind) {
    case Initial::Kind::zeros:
      return 0.0f;
    case Initial::Kind::constant:
      return static_cast<float>(initial.value);
    case Initial::Kind::uniform:
      return static_cast<float>(initial.value) * (2.0f * uniform_of(words.word[element % 4]) - 1.0f);
    case Initial::Kind::normal: {
      float z[2];
      const std::uint64_t pair = element % 4 / 2;
      normal_pair(words.word[2 * pair], words.word[2 * pair + 1], z[0], z[1]);
      return static_cast<float>(initial.value) * z[element % 2];
    }
  }
  return 0.0f;
}

}  // namespace

Parameter Parameters::add(std::string name, Shape shape, Initial initial, bool decayed) {
  if (allocated_) throw InputError("parameter " + name + " was added after the parameters were allocated");
  if (shape.empty() || shape.size() > kMaxRank)
    throw InputError("parameter " + name + " has rank " + std::to_string(shape.size()));
  if (!names_.insert(name).second) throw InputError("two parameters are named " + name);
  entries_.push_back({std::move(name), std::move(shape), initial, decayed});
  return {static_cast<int>(entries_.size()) - 1};
}

Parameter Parameters::add_buffer(std::string name, Shape shape, Initial initial) {
  const Parameter p = add(std::move(name), std::move(shape), initial, /*decayed=*/false);
  entries_.back().buffer = true;
  return p;
}

std::int64_t Parameters::weight_count() const {
  std::int64_t n = 0;
  for (const Entry& entry : entries_) n += entry.buffer ? 0 : size_of_shape(entry.shape);
  return n;
}

View<float> Parameters::slice(const View<float>& flat, Parameter p) const {
  const Entry& entry = entries_.at(p.index);
  return {flat.data + entry.offset, Extents(entry.shape.data(), static_cast<int>(entry.shape.size()))};
}

View<bfloat16> Parameters::working_copy(Parameter p) const {
  if (working_.data == nullptr) return {};
  const Entry& entry = entries_.at(p.index);
  return {working_.data + entry.offset, Extents(entry.shape.data(), static_cast<int>(entry.shape.size()))};
}

void Parameters::make_working_copy(Stream& stream) {
  const std::int64_t n = values_.size();
  if (working_.data == nullptr) {
    working_memory_ = Memory(device(), static_cast<std::size_t>(n) * sizeof(bfloat16), "the weights' working copy");
    working_ = View<bfloat16>(reinterpret_cast<bfloat16*>(working_memory_.data()), {n});
  }
  copy(stream, {.x = View<float>(values_.data, {1, n}), .y = View<bfloat16>(working_.data, {1, n})});
}

void Parameters::drop_working_copy() {
  working_ = {};
  working_memory_ = Memory();
}

void Parameters::allocate(Device device, std::uint64_t seed, bool training) {
  if (allocated_) throw InputError("the parameters were allocated twice");
  allocated_ = true;
  std::int64_t n = 0;
  for (const bool decayed : {true, false}) {
    for (Entry& entry : entries_) {
      if (entry.decayed != decayed) continue;
      entry.offset = n;
      n += (size_of_shape(entry.shape) + kAlignment - 1) / kAlignment * kAlignment;
    }
    if (decayed) decayed_count_ = n;
  }

  View<float>* flats[] = {&values_, &gradients_, &first_moments_, &second_moments_, &averages_};
  const int count = training ? 5 : 1;
  memory_ = Memory(device, count * static_cast<std::size_t>(n) * sizeof(float), "the parameters");
  for (int k = 0; k < count; ++k) *flats[k] = View<float>(reinterpret_cast<float*>(memory_.data()) + k * n, {n});

  std::vector<float> initial(n, 0.0f);
  for (std::size_t k = 0; k < entries_.size(); ++k)
    for (std::int64_t i = 0; i < size_of_shape(entries_[k].shape); ++i)
      initial[entries_[k].offset + i] = draw(entries_[k].initial, seed, k, static_cast<std::uint64_t>(i));

  Stream stream(device);
  zero_bytes(stream, memory_.data(), memory_.bytes());
  copy_bytes(stream, values_.data, initial.data(), n * sizeof(float));
  if (training) copy_bytes(stream, averages_.data, initial.data(), n * sizeof(float));
  stream.synchronize();
}

}  // namespace otnfm

#include "engine/io/saved_lists.h"

#include "kernels/error.h"

namespace otnfm {
namespace {

template <class T>
const std::vector<T>& list_of(const std::map<std::string, std::vector<T>>& lists, const std::string& name) {
  const auto found = lists.find(name);
  if (found == lists.end()) throw InputError("the saved state has no \"" + name + "\"");
  return found->second;
}

}  // namespace

const std::vector<std::int64_t>& SavedLists::integers_of(const std::string& name) const {
  return list_of(integers, name);
}

const std::vector<float>& SavedLists::floats_of(const std::string& name) const {
  return list_of(floats, name);
}

void append(const SavedLists& lists, const std::string& prefix, std::vector<NamedTensor>& tensors) {
  const auto each = [&](const auto& of_type) {
    for (const auto& [name, values] : of_type)
      tensors.push_back(named_tensor(prefix + name, View(values.data(), {static_cast<std::int64_t>(values.size())})));
  };
  each(lists.integers);
  each(lists.floats);
}

SavedLists lists_of(const SafetensorsFile& file, const std::string& prefix) {
  SavedLists lists;
  for (const NamedTensor& tensor : file.tensors()) {
    if (!tensor.name.starts_with(prefix)) continue;
    const std::string name = tensor.name.substr(prefix.size());
    if (tensor.dtype == DType::int64)
      lists.integers[name] = file.values<std::int64_t>(tensor.name, tensor.shape);
    else
      lists.floats[name] = file.values<float>(tensor.name, tensor.shape);
  }
  return lists;
}

}  // namespace otnfm

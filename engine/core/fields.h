// Visits the views inside an op's argument struct without the struct having to list them: the tape needs to know which
// memory an op touches, and which of it the op writes (View<T>, against View<const T>). Works for plain aggregates of
// up to 16 fields, nested ones included, by structured bindings.
#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "kernels/view.h"

namespace otnfm {
namespace fields {

struct Anything {
  template <class T>
  constexpr operator T() const;  // never defined: only for asking whether T{Anything, ...} would compile
};

template <class T, std::size_t... I>
consteval bool takes(std::index_sequence<I...>) {
  return requires {
    T{((void)I, Anything{})...};
  };
}

template <class T, std::size_t N = 16>
consteval std::size_t count() {
  if constexpr (takes<T>(std::make_index_sequence<N>{}))
    return N;
  else
    return count<T, N - 1>();
}

template <class T>
struct IsView : std::false_type {};
template <class T>
struct IsView<View<T>> : std::true_type {};

/// Calls visit(field) for each direct field of `a`.
template <class T, class Visit>
void for_each_field(T& a, Visit&& visit) {
  constexpr std::size_t n = count<std::remove_const_t<T>>();
  const auto each = [&](auto&... field) { (visit(field), ...); };
  static_assert(n >= 1);
  // clang-format off
  if constexpr (n == 1) { auto& [f1] = a; each(f1); }
  else if constexpr (n == 2) { auto& [f1, f2] = a; each(f1, f2); }
  else if constexpr (n == 3) { auto& [f1, f2, f3] = a; each(f1, f2, f3); }
  else if constexpr (n == 4) { auto& [f1, f2, f3, f4] = a; each(f1, f2, f3, f4); }
  else if constexpr (n == 5) { auto& [f1, f2, f3, f4, f5] = a; each(f1, f2, f3, f4, f5); }
  else if constexpr (n == 6) { auto& [f1, f2, f3, f4, f5, f6] = a; each(f1, f2, f3, f4, f5, f6); }
  else if constexpr (n == 7) { auto& [f1, f2, f3, f4, f5, f6, f7] = a; each(f1, f2, f3, f4, f5, f6, f7); }
  else if constexpr (n == 8) { auto& [f1, f2, f3, f4, f5, f6, f7, f8] = a; each(f1, f2, f3, f4, f5, f6, f7, f8); }
  else if constexpr (n == 9) { auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9] = a; each(f1, f2, f3, f4, f5, f6, f7, f8, f9); }
  else if constexpr (n == 10) { auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10] = a; each(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10); }
  else if constexpr (n == 11) { auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11] = a; each(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11); }
  else if constexpr (n == 12) { auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12] = a; each(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12); }
  else if constexpr (n == 13) { auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13] = a; each(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13); }
  else if constexpr (n == 14) { auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14] = a; each(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14); }
  else if constexpr (n == 15) { auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15] = a; each(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15); }
  else { auto& [f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16] = a; each(f1, f2, f3, f4, f5, f6, f7, f8, f9, f10, f11, f12, f13, f14, f15, f16); }
  // clang-format on
}

}  // namespace fields

/// Calls visit(view) for every View in `arguments`, nested structs included.
template <class Arguments, class Visit>
void for_each_view(Arguments& arguments, Visit&& visit) {
  fields::for_each_field(arguments, [&](auto& field) {
    using Field = std::remove_cvref_t<decltype(field)>;
    if constexpr (fields::IsView<Field>::value)
      visit(field);
    else if constexpr (std::is_class_v<Field>)
      for_each_view(field, visit);
  });
}

}  // namespace otnfm

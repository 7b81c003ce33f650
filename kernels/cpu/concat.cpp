// 8 bytes an element moved: bound by memory.
#include "kernels/concat.h"

#include "kernels/host/parallel.h"

namespace otnfm::cpu {
namespace {

// A loop and not memcpy: rows of the time column have one element, those of 2-D points two.
template <class T>
void copy_row(const T* from, T* to, std::int64_t n) {
  for (std::int64_t j = 0; j < n; ++j) to[j] = from[j];
}

}  // namespace

void concat_columns(Stream&, const ConcatColumns& a) {
  const std::int64_t m = a.a.columns(), n = a.b.columns();
  with_stored_type(a.y.dtype, [&]<class T>() {
    const View<const T> left = a.a.as<T>(), right = a.b.as<T>();
    const View<T> y = a.y.as<T>();
    host::parallel_rows(y.rows(), m + n, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        copy_row(left.row(i), y.row(i), m);
        copy_row(right.row(i), y.row(i) + m, n);
      }
    });
  });
}

void split_columns(Stream&, const SplitColumns& a) {
  const std::int64_t m = a.a.columns(), n = a.b.columns();
  with_stored_type(a.y.dtype, [&]<class T>() {
    const View<const T> y = a.y.as<T>();
    const View<T> left = a.a.as<T>(), right = a.b.as<T>();
    host::parallel_rows(y.rows(), m + n, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) {
        if (left.data != nullptr) copy_row(y.row(i), left.row(i), m);
        if (right.data != nullptr) copy_row(y.row(i) + m, right.row(i), n);
      }
    });
  });
}

void broadcast(Stream&, const Broadcast& a) {
  const std::int64_t d = a.y.columns();
  const bool column = a.x.columns() == 1 && a.x.rows() == a.y.rows();
  host::parallel_rows(a.y.rows(), d, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      if (column)
        std::fill(a.y.row(i), a.y.row(i) + d, *a.x.row(i));
      else
        copy_row(a.x.row(0), a.y.row(i), d);
    }
  });
}

}  // namespace otnfm::cpu

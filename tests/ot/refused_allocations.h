// The tests' own operator new, which can refuse an allocation: in a file of its own, out of sight of what it serves.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace otnfm::test {

/// Allocations of kLargerBytes or more that are granted before one is refused; below 0 all are. Texts and the like are
/// smaller, whatever goes with n is not.
extern std::atomic<std::int64_t> until_refused;
extern std::atomic<std::size_t> refused;  ///< bytes of the one that was refused
inline constexpr std::size_t kLargerBytes = 1024;

// clang's ThreadSanitizer has an operator new of its own, and suffers no other.
#if defined(__clang__) && defined(__SANITIZE_THREAD__)
inline constexpr bool kCanRefuse = false;
#else
inline constexpr bool kCanRefuse = true;
#endif

}  // namespace otnfm::test

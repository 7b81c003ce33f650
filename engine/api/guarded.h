// What the functions of the C ABI share: each that can throw runs inside guarded(), so that no exception reaches the
// caller.
#pragma once

#include <exception>
#include <new>

#include "engine/api/c.h"
#include "kernels/error.h"

namespace otnfm::embed {

/// Puts the text into *error, where there is one, and into this thread's otnfm_last_error().
otnfm_status fail(otnfm_status status, otnfm_error* error, const char* text) noexcept;

template <class Body>
otnfm_status guarded(otnfm_error* error, const Body& body) noexcept {
  if (error != nullptr) error->text[0] = '\0';
  try {
    body();
    return OTNFM_OK;
  } catch (const std::bad_alloc&) {
    return fail(OTNFM_RUN_ERROR, error, "out of memory");
  } catch (const InputError& wrong) {
    return fail(OTNFM_INPUT_ERROR, error, wrong.what());
  } catch (const std::exception& failed) {
    return fail(OTNFM_RUN_ERROR, error, failed.what());
  } catch (...) {
    return fail(OTNFM_RUN_ERROR, error, "an unknown exception");
  }
}

inline void require(bool holds, const char* what) {
  if (!holds) throw InputError(what);
}

}  // namespace otnfm::embed

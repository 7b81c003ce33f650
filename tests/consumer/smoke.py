#!/usr/bin/env python3
"""The C ABI from another language: smoke.py LIBOTNFM_C.so MODEL.safetensors"""
import ctypes
import sys
from ctypes import POINTER, Structure, byref, c_char, c_char_p, c_double, c_float, c_int, c_int64, c_uint64, c_void_p


class Error(Structure):
    _fields_ = [("text", c_char * 256)]


class Certificate(Structure):
    _fields_ = [("primal_cost", c_double), ("dual_bound", c_double), ("gap", c_double), ("is_permutation", c_int)]


def main(library, model):
    otnfm, error = ctypes.CDLL(library), Error()
    otnfm.otnfm_version.restype = c_char_p
    otnfm.otnfm_generator_dimension.restype = c_int64
    otnfm.otnfm_generator_dimension.argtypes = [c_void_p]
    for free in (otnfm.otnfm_generator_free, otnfm.otnfm_context_free, otnfm.otnfm_coupler_free):
        free.argtypes, free.restype = [c_void_p], None
    floats = POINTER(c_float)

    def call(name, *arguments):
        status = getattr(otnfm, "otnfm_" + name)(*arguments, byref(error))
        if status != 0:
            raise RuntimeError(f"otnfm_{name}: status {status}: {error.text.decode()}")

    try:
        call("generator_load", b"no such file", 0, 0, byref(c_void_p()))
        return "a file that is not there was loaded"
    except RuntimeError as wrong:
        print(wrong)

    generator, context, coupler = c_void_p(), c_void_p(), c_void_p()
    call("generator_load", model.encode(), 0, 0, byref(generator))
    n, d = 64, otnfm.otnfm_generator_dimension(generator)
    call("generator_prepare", generator, c_int64(n), byref(context))
    call("coupler_create", 0, c_int64(n), c_int64(d), byref(coupler))
    whole, parts, sigma = (c_float * (n * d))(), (c_float * (n * d))(), (c_int64 * n)()
    call("sample", context, None, c_uint64(7), c_int64(0), c_int64(n), whole)
    for row in range(n):
        call("sample", context, None, c_uint64(7), c_int64(row), c_int64(1),
             ctypes.cast(byref(parts, 4 * row * d), floats))
    call("pair", coupler, whole, c_int64(n), parts, c_int64(n), c_int64(d), sigma)
    proof = Certificate()
    call("coupler_certificate", coupler, byref(proof))
    otnfm.otnfm_coupler_free(coupler), otnfm.otnfm_context_free(context), otnfm.otnfm_generator_free(generator)
    print(f"otnfm {otnfm.otnfm_version().decode()}: first sample {whole[0]:.9g}, cost {proof.primal_cost:.3g}")
    # One at a time or all at once, the samples are the same: so each is its own partner, at no cost.
    return 0 if list(whole) == list(parts) and list(sigma) == list(range(n)) and proof.primal_cost == 0 else "differs"


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

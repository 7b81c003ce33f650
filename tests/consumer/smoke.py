#!/usr/bin/env python3
"""The C ABI from another language: smoke.py LIBOTNFM_C.so MODEL.safetensors"""
import ctypes
import sys
from ctypes import (CFUNCTYPE, POINTER, Structure, byref, c_char, c_char_p, c_double, c_float, c_int, c_int64, c_size_t,
                    c_uint64, c_void_p, sizeof)


class Error(Structure):
    _fields_ = [("text", c_char * 256)]


class Certificate(Structure):
    _fields_ = [("primal_cost", c_double), ("dual_bound", c_double), ("gap", c_double), ("is_permutation", c_int)]


class Problem(Structure):
    _fields_ = [("size", c_size_t), ("n", c_int64), ("m", c_int64), ("d", c_int64), ("source", c_void_p),
                ("target", c_void_p), ("costs", c_void_p), ("source_stride", c_int64), ("target_stride", c_int64),
                ("costs_stride", c_int64), ("dtype", c_int), ("cost", c_int), ("source_weights", c_void_p),
                ("target_weights", c_void_p)]


Watch = CFUNCTYPE(c_int, c_void_p, c_void_p)


class SolveOptions(Structure):
    _fields_ = [("size", c_size_t), ("solver", c_int), ("algorithm", c_int), ("threads", c_int), ("certify", c_int),
                ("max_gap", c_double), ("max_seconds", c_double), ("max_iterations", c_int64), ("watch", Watch),
                ("watch_data", c_void_p), ("initial_g", c_void_p), ("epsilon", c_double), ("epsilon_unit", c_int),
                ("tolerance", c_double), ("marginal_penalty", c_double), ("pairs", c_int), ("seed", c_uint64)]


class Summary(Structure):
    _fields_ = [("size", c_size_t), ("status", c_int), ("is_permutation", c_int), ("matched", c_int64),
                ("primal_cost", c_double), ("dual_bound", c_double), ("gap", c_double), ("marginal_error", c_double),
                ("iterations", c_int64), ("seconds", c_double), ("certificate_seconds", c_double), ("epsilon", c_double), ("transport_cost", c_double),
                ("entropic_cost", c_double), ("mass", c_double)]


def solve_costs(otnfm, call):
    """The largest sum of a matrix of whole numbers, as a least cost: 9 + 8 + 7."""
    costs = (c_int64 * 9)(*[-c for c in (9, 2, 7, 6, 4, 8, 5, 7, 1)])
    problem, options, solution, summary = Problem(), SolveOptions(), c_void_p(), Summary()
    otnfm.otnfm_problem_init(byref(problem), c_size_t(sizeof(problem)))
    otnfm.otnfm_solve_options_init(byref(options), c_size_t(sizeof(options)))
    assert problem.size == sizeof(problem) and options.max_gap == -1 and options.epsilon == 0.05
    problem.n = problem.m = 3
    problem.dtype, problem.costs = 4, ctypes.addressof(costs)
    options.watch = Watch(lambda data, progress: 1)
    call("solve", byref(problem), byref(options), byref(solution))
    otnfm.otnfm_solution_summary(solution, byref(summary), c_size_t(sizeof(summary)))
    otnfm.otnfm_solution_sigma.restype, otnfm.otnfm_solution_sigma.argtypes = POINTER(c_int64), [c_void_p]
    sigma = otnfm.otnfm_solution_sigma(solution)[:3]
    otnfm.otnfm_solution_free(solution)
    return sigma == [0, 2, 1] and summary.primal_cost == -8 and summary.gap == 0 and summary.matched == 3


def main(library, model):
    otnfm, error = ctypes.CDLL(library), Error()
    otnfm.otnfm_version.restype = c_char_p
    otnfm.otnfm_generator_dimension.restype = c_int64
    otnfm.otnfm_generator_dimension.argtypes = [c_void_p]
    for free in (otnfm.otnfm_generator_free, otnfm.otnfm_context_free, otnfm.otnfm_coupler_free,
                 otnfm.otnfm_solution_free):
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

    if not solve_costs(otnfm, call):
        return "the pairs of a matrix of costs differ"
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

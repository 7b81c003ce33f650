#!/usr/bin/env python3
"""Checks the rules that let kernels/cuda be compiled for the host as well (tests/simt), that every op is whole, and the texts.

    tools/check_rules.py [--root FOLDER]    exit 1, and one line `file:line: what` for each violation
    tools/check_rules.py --self-test        plants one violation of each rule and sees that it is reported

Device code: kernels are launched by launch() alone; inline assembly, asynchronous copies and matrix instructions are in
kernels/device alone, each beside its meaning on the host; no cooperative groups and no CUB block or warp primitives;
shared memory by SHARED_ARRAY and SHARED_DYNAMIC; no allocation and no waiting outside kernels/cuda/{memory,stream}.cu;
no variable outlives a call in kernels/cuda; NVIDIA's libraries in kernels/cuda/library alone.
Ops: a header kernels/X.h with an argument struct (one that has a kName) has kernels/X.cpp, kernels/cpu/X.cpp and
kernels/cuda/X.cu, and each kName is the `.op` of a case in tests/cases.
Rooms: no file above kernels/ names a backend, by what it includes or by namespace: kernels/host is for all.
Texts: nothing but TOP_LEVEL at the top, README of at most 8 KB that names each folder of it, lines of at most 120
columns outside of tables, in comments too, and links, and paths in backticks, that lead to something.
"""
import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

SOURCES = {".h", ".cpp", ".cu", ".cuh"}

FOLDERS = {"kernels", "engine", "layers", "ot", "tools", "tests", "bench"}
TOP_LEVEL = FOLDERS | {"CMakeLists.txt", "CMakePresets.json", "CONTRIBUTING.md", "LICENSE", "README.md"}  # and dot files
README_BYTES = 8192
COLUMNS = 120

# (what, pattern in code without comments and strings, where it is allowed)
PATTERNS = [
    ("a kernel is launched by launch() of kernels/device/launch.h",
     r"<<<|\bcudaLaunch\w*", r"kernels/device/launch\.h"),
    ("inline assembly belongs in kernels/device", r"\basm\b|\b__asm\w*", r"kernels/device/"),
    ("asynchronous copies belong in kernels/device",
     r"\b__pipeline_\w+|\bcuda::(?:memcpy_async|pipeline|barrier)\b|"
     r"#\s*include\s*<cuda(?:/pipeline|/barrier|_pipeline)",
     r"kernels/device/"),
    ("matrix instructions belong in kernels/device",
     r"\bwmma\b|#\s*include\s*<mma\.h>|\b__\w*mma_\w+",
     r"kernels/device/"),
    ("no cooperative groups", r"\bcooperative_groups\b", None),
    ("no CUB block or warp primitives", r"\bcub::(?:Block|Warp)\w*|#\s*include\s*<cub/(?:block|warp)", None),
    ("NVIDIA's libraries are wrapped in kernels/cuda/library",
     r"#\s*include\s*<(?:cub/|thrust/|cublas|cudnn|curand|cusolver|cusparse)",
     r"kernels/cuda/library/"),
    ("shared memory is declared by SHARED_ARRAY or SHARED_DYNAMIC", r"\b__shared__\b", r"kernels/device/shared\.h"),
    ("no __constant__ or __managed__ variables", r"\b__(?:constant|managed)__\b", None),
    ("only kernels/cuda/memory.cu and stream.cu allocate or wait",
     r"\bcuda(?:Malloc\w*|Free\w*|HostAlloc|DeviceSynchronize|StreamSynchronize|EventSynchronize|Memcpy|Memset)\b",
     r"kernels/cuda/(?:memory|stream)\.cu"),
]
PATTERNS = [(what, re.compile(pattern), re.compile(allowed) if allowed else None)
            for what, pattern, allowed in PATTERNS]

TOKEN = re.compile(r"""//[^\n]*|/\*.*?\*/                    # comments
    |R"(?P<mark>[^()\\\s]*)\(.*?\)(?P=mark)"               # raw strings
    |"(?:\\.|[^"\\\n])*"
    |(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'                   # characters, but not the ' of 1'000
    """, re.S | re.X)


def blank(text, strings):
    """The text without comments, and without the insides of strings where `strings`; its lines keep their numbers."""
    def replace(match):
        token = match.group()
        if token.startswith(("//", "/*")):
            return re.sub(r"[^\n]", " ", token)
        return '"' + re.sub(r"[^\n]", " ", token[1:-1]) + '"' if strings else token
    return TOKEN.sub(replace, text)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def long_lived_variables(code):
    """Positions of variables at namespace scope, and of static ones in functions, that are not constexpr."""
    code = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group()), code, flags=re.M)
    stack = []       # what each open brace belongs to: namespace, function, type, or the initialiser of a variable
    start = 0        # of the current statement
    parentheses = 0
    for position, character in enumerate(code):
        if character in "()":
            parentheses += 1 if character == "(" else -1
        elif parentheses or character not in "{};":
            continue
        statement = code[start:position]
        if character == "{":
            if re.search(r"\bnamespace\b|\bextern\s*\"", statement):
                kind = "namespace"
            elif re.search(r"\b(?:struct|class|union|enum)\b[^()]*$", statement) and "=" not in statement:
                kind = "type"
            elif "function" in stack or re.match(r"[^(]*\(", re.split(r"(?<![=!<>])=(?!=)", statement)[0]):
                kind = "function"
            else:
                kind = "initialiser"
            stack.append(kind)
            if kind in ("namespace", "function"):
                start = position + 1
            elif kind == "initialiser":
                yield from judge(stack[:-1], statement, start)
        elif character == "}":
            kind = stack.pop() if stack else "namespace"
            if kind in ("namespace", "function", "type"):
                start = position + 1
        elif character == ";":
            if "type" not in stack and "initialiser" not in stack and "{" not in statement:
                yield from judge(stack, statement, start)
            if "initialiser" not in stack and "type" not in stack:
                start = position + 1


def judge(stack, statement, start):
    begin = start + len(statement) - len(statement.lstrip())
    words = statement.strip()
    if not words or re.search(r"\bconst(?:expr|eval)\b", words):
        return
    if "function" in stack:
        if re.match(r"(?:static|thread_local)\b", words):
            yield begin
        return
    if re.match(r"(?:using|typedef|template|struct|class|union|enum|static_assert|namespace|friend|concept)\b", words):
        return
    declared = re.split(r"(?<![=!<>])=(?!=)", words)[0]
    declared = re.sub(r"\b(?:alignas|__align__|__attribute__)\s*\(.*?\)+", "", declared)
    if "(" not in declared and len(words.split()) > 1:  # else a function's declaration
        yield begin


def check_sources(root):
    for path in sorted((root / "kernels").rglob("*")):
        if path.suffix not in SOURCES:
            continue
        name = path.relative_to(root).as_posix()
        code = blank(path.read_text(), strings=True)
        # An include's <...> is no string, so the patterns see it.
        for what, pattern, allowed in PATTERNS:
            if allowed and allowed.match(name):
                continue
            for match in pattern.finditer(code):
                yield f"{name}:{line_of(code, match.start())}: {what}: {match.group()}"
        if name.startswith("kernels/cuda/"):
            for position in long_lived_variables(code):
                text = code[position:].split("\n")[0].strip()
                yield f"{name}:{line_of(code, position)}: no variable outlives a call: {text}"


BACKEND = re.compile(r'^\s*#\s*include\s*"kernels/(?:cpu|cuda)/[^"]*"|\b(?:cpu|cuda)::\w+', re.M)


def check_rooms(root):
    for folder in ("engine", "layers", "ot", "tools"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in SOURCES:
                name, code = path.relative_to(root).as_posix(), blank(path.read_text(), strings=False)
                for match in BACKEND.finditer(code):
                    yield f"{name}:{line_of(code, match.start())}: no backend is named above kernels/: {match.group().strip()}"


def find_ops(root):
    """{op: "file:line"} of every argument struct, and the headers that have one."""
    ops, headers, problems = {}, [], []
    for path in sorted((root / "kernels").glob("*.h")):
        code = blank(path.read_text(), strings=False)
        found = list(re.finditer(r"\bkName\s*=\s*\"(\w+)\"", code))
        if found:
            headers.append(path)
        for match in found:
            place = f"kernels/{path.name}:{line_of(code, match.start())}"
            if match.group(1) in ops:
                problems.append(f"{place}: the op {match.group(1)} is declared already at {ops[match.group(1)]}")
            ops.setdefault(match.group(1), place)
    return ops, headers, problems


def check_ops(root):
    ops, headers, problems = find_ops(root)
    yield from problems
    for path in headers:
        for needed in (f"kernels/{path.stem}.cpp", f"kernels/cpu/{path.stem}.cpp", f"kernels/cuda/{path.stem}.cu"):
            if not (root / needed).is_file():
                yield f"kernels/{path.name}:1: it declares ops, but there is no {needed}"
    cases = set()
    for path in sorted((root / "tests" / "cases").glob("*.cpp")):
        # `.op = forward ? "x" : "x_backward"` names two.
        for expression in re.findall(r"\.op\s*=([^,]*)", blank(path.read_text(), strings=False)):
            cases |= set(re.findall(r"\"(\w+)\"", expression))
    for op, place in ops.items():
        if op not in cases:
            yield f"{place}: the op {op} has no case in tests/cases"


def committed_files(root):
    """Paths below root that git knows; all of them where there is no repository."""
    if (root / ".git").exists():
        listed = subprocess.run(["git", "-C", str(root), "ls-files", "-z"], capture_output=True, text=True)
        if listed.returncode == 0:
            return [name for name in listed.stdout.split("\0") if name]
    return [path.relative_to(root).as_posix() for path in sorted(root.rglob("*")) if path.is_file()]


def is_placeholder(path):
    """Of `kernels/x.h` and `layers/x_flow.h` in a guide: the x stands for a name."""
    return any(re.match(r"x(?:[._]|$)", part) for part in path.split("/")) or "<" in path


def check_text(root, name, known):
    lines, fenced = (root / name).read_text().split("\n"), False
    for number, line in enumerate(lines, 1):
        if len(line) > COLUMNS and not line.startswith("|"):
            yield f"{name}:{number}: {len(line)} columns, at most {COLUMNS} are allowed outside of tables"
        if line.startswith("```"):
            fenced = not fenced
        if fenced or line.startswith("    "):
            continue
        for link in re.findall(r"\]\(([^)\s]+)\)", line):
            target = link.split("#")[0]
            if target and "://" not in target and not ((root / name).parent / target).exists():
                yield f"{name}:{number}: the link {link} leads to nothing"
        for path in re.findall(r"`([\w.*/-]+)`", line):
            if path.split("/")[0] in FOLDERS and "/" in path and not is_placeholder(path) and not list(root.glob(path)):
                yield f"{name}:{number}: there is no {path}"
    if name == "README.md":
        size = (root / name).stat().st_size
        if size > README_BYTES:
            yield f"README.md:1: {size} bytes, at most {README_BYTES} are allowed"
        for folder in sorted(FOLDERS & known):
            if not re.search(rf"`{folder}/", "\n".join(lines)):
                yield f"README.md:1: the tree does not name {folder}/"


def check_texts(root):
    files = committed_files(root)
    known = {name.split("/")[0] for name in files}
    for name in sorted(known - TOP_LEVEL):
        if not name.startswith("."):
            yield f"{name}:1: it does not belong at the top level"
    for name in files:
        path = root / name
        if path.suffix == ".md" and path.is_file():
            yield from check_text(root, name, known)
        elif path.suffix in SOURCES and path.is_file():
            # clang-format leaves comments as they are.
            for number, line in enumerate(path.read_text().split("\n"), 1):
                if len(line) > COLUMNS and line.lstrip().startswith(("//", "*", "/*")):
                    yield f"{name}:{number}: {len(line)} columns of comment, at most {COLUMNS} are allowed"


def check(root):
    return list(check_sources(root)) + list(check_rooms(root)) + list(check_ops(root)) + list(check_texts(root))


RIGHT = {
    "kernels/norm.h": '// kName = "not_an_op"\nstruct Norm {\n  static constexpr const char* kName = "norm";\n};\n',
    "kernels/norm.cpp": "",
    "kernels/cpu/norm.cpp": "",
    "kernels/cuda/norm.cu": """// <<<1, 2>>> and __shared__ in a comment, asm too
#include "kernels/device/launch.h"
namespace otnfm::cuda {
namespace {
constexpr int kThreads = 1'000;
constexpr float kTable[2] = {1.0f, 2.0f};
template <class T> struct Pair { T a, b; static constexpr int kSize = 2; };
class Counter {
  int next() { return ++count_; }
  int count_ = 0;
};
__global__ void norm_kernel(Norm a) {
  SHARED_ARRAY(float, tile, 32);
  static constexpr int kLocal = 3;
  for (int i = 0; i < kLocal; ++i) { tile[i] = static_cast<float>(i); }
}
int helper(int x = 3);
bool operator==(Pair<int> a, Pair<int> b) { return a.a == b.a; }
}  // namespace
void norm(Stream& stream, const Norm& a) {
  const char* text = "__shared__ <<< asm"; launch(norm_kernel, 1, 32, 0, stream.cuda(), a); }
}  // namespace otnfm::cuda
""",
    "kernels/cuda/memory.cu": "void* allocate() { void* p; cudaMalloc(&p, 4); return p; }\n",
    "kernels/cuda/library/cublas.cu": "#include <cublasLt.h>\n",
    "kernels/device/mma.h": '__device__ void mma() { asm volatile("mma.sync"); }\n',
    "tests/cases/norm.cpp": 'Case c{.op = "norm"};\n',
    "engine/norm.cpp": '#include "kernels/norm.h"  // not of kernels/cpu/, nor cpu::norm\n',
    "README.md": "# Norm\n\n[How](CONTRIBUTING.md#op), [else](https://a.b/c)\n\n| `kernels/`, `tests/`, `engine/` | " + "x" * 120 + " |\n",
    "CONTRIBUTING.md": "`kernels/x.h`, `kernels/cuda/x_norm.*`, `kernels/norm.*`, `otnfm info`\n\n    [no](link)\n",
}

# (file, text put at its end, or None to take the file away; a word of the report, or where it must be)
PLANTED = [
    ("kernels/cuda/norm.cu", "void f() { norm_kernel<<<1, 2>>>(a); }",
     "kernels/cuda/norm.cu:23: a kernel is launched by"),
    ("kernels/cuda/norm.cu", "void f() { cudaLaunchKernel(g); }", "launch()"),
    ("kernels/cuda/norm.cu", '__device__ void f() { asm("nop;"); }', "kernels/cuda/norm.cu:23: inline assembly"),
    ("kernels/cpu/norm.cpp", 'void f() { __asm__("nop"); }', "kernels/cpu/norm.cpp:1: inline assembly"),
    ("kernels/cuda/norm.cu", "__device__ void f() { __pipeline_commit(); }", "asynchronous"),
    ("kernels/cuda/norm.cu", "#include <mma.h>", "matrix"),
    ("kernels/cuda/norm.cu", "#include <cooperative_groups.h>", "cooperative"),
    ("kernels/cuda/norm.cu", "using Reduce = cub::BlockReduce<float, 32>;", "CUB"),
    ("kernels/cuda/library/cublas.cu", "#include <cub/block/block_scan.cuh>",
     "kernels/cuda/library/cublas.cu:2: no CUB"),
    ("kernels/cuda/norm.cu", "#include <cublasLt.h>", "wrapped"),
    ("kernels/device/mma.h", "__device__ void f() { __shared__ int x; }", "kernels/device/mma.h:2: shared memory"),
    ("kernels/cuda/norm.cu", "void f() { cudaMalloc(&p, 4); }", "allocate or wait"),
    ("kernels/cuda/norm.cu", "void f() { cudaDeviceSynchronize(); }", "allocate or wait"),
    ("kernels/cuda/norm.cu", "namespace x { int counter = 0; }",
     "kernels/cuda/norm.cu:23: no variable outlives a call: int counter"),
    ("kernels/cuda/norm.cu", "namespace { cudaDeviceProp properties; }", "outlives"),
    ("kernels/cuda/norm.cu", "float table[2] = {1, 2};", "outlives"),
    ("kernels/cuda/norm.cu", "std::vector<int> sizes{1, 2};", "outlives"),
    ("kernels/cuda/norm.cu", "int f() {\n  static bool first = true;\n  return first; }",
     "kernels/cuda/norm.cu:24: no variable outlives"),
    ("kernels/cuda/norm.cu", "int f() { static const int n = g(); return n; }", "outlives"),
    ("kernels/cuda/norm.cu", "__constant__ float weights[4];", "__constant__"),
    ("kernels/cpu/norm.cpp", None, "there is no kernels/cpu/norm.cpp"),
    ("kernels/cuda/norm.cu", None, "there is no kernels/cuda/norm.cu"),
    ("kernels/norm.cpp", None, "there is no kernels/norm.cpp"),
    ("tests/cases/norm.cpp", None, "kernels/norm.h:3: the op norm has no case"),
    ("kernels/norm.h", 'struct Other { static constexpr const char* kName = "other"; };',
     "kernels/norm.h:5: the op other has no case"),
    ("kernels/norm.h", 'struct Other { static constexpr const char* kName = "norm"; };', "declared already"),
    ("engine/norm.cpp", '#include "kernels/cpu/norm.h"', "engine/norm.cpp:2: no backend is named"),
    ("engine/norm.cpp", "int n = cuda::norm();", "engine/norm.cpp:2: no backend is named"),
    ("CONTRIBUTING.md", None, "README.md:3: the link CONTRIBUTING.md#op leads to nothing"),
    ("CONTRIBUTING.md", "`kernels/norms.h`", "CONTRIBUTING.md:4: there is no kernels/norms.h"),
    ("CONTRIBUTING.md", "word " * 25, "CONTRIBUTING.md:4: 125 columns"),
    ("README.md", "| " + "x" * 8000 + " |", "bytes, at most 8192"),
    ("kernels/cuda/norm.cu", "  // " + "word " * 25, "kernels/cuda/norm.cu:23: 130 columns of comment"),
    ("tools/run.sh", "", "the tree does not name tools/"),
    ("notes.txt", "", "notes.txt:1: it does not belong at the top level"),
]


def self_test():
    failures = []
    for file, text, expected in [(None, "", None)] + PLANTED:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, content in {file or "README.md": "", **RIGHT}.items():
                if name == file:
                    if text is None:
                        continue
                    content += text + "\n"
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content)
            problems = check(root)
        if expected is None and problems:
            failures.append(f"the right tree is refused: {problems}")
        if expected is not None and not any(expected in problem for problem in problems):
            failures.append(f"{file}: {text!r}: wanted {expected!r}, got {problems}")
    for failure in failures:
        print(f"check_rules: self-test: {failure}", file=sys.stderr)
    print(f"check_rules: self-test: {len(PLANTED)} planted violations, {len(failures)} failures")
    return 1 if failures else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).resolve().parent.parent)
    parser.add_argument("--self-test", action="store_true")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    problems = check(options.root)
    for problem in problems:
        print(problem, file=sys.stderr)
    ops = find_ops(options.root)[0]
    print(f"check_rules: {len(ops)} ops, {len(problems)} violations")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

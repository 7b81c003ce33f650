// The runtime API: memory, errors, events, and graphs, which must replay the work and not what it was captured with.
#include <cmath>
#include <cstring>

#include "kernels/error.h"
#include "support.h"

using namespace otnfm;

namespace {

__global__ void scale_by(const float* factor, float* x, float offset) {
  x[threadIdx.x] = x[threadIdx.x] * *factor + offset;
}

__global__ void use_shared(float* y) {
  SHARED_DYNAMIC(float, row);
  row[threadIdx.x] = 1.0f;
  y[threadIdx.x] = row[threadIdx.x];
}

TEST(Memory, IsPoisonedAndCounted) {
  std::size_t before = 0, during = 0, after = 0, total = 0;
  cudaMemGetInfo(&before, &total);
  {
    const DeviceArray<float> x(100);
    for (float v : x.values()) EXPECT_TRUE(std::isnan(v));
    cudaMemGetInfo(&during, &total);
  }
  cudaMemGetInfo(&after, &total);
  EXPECT_EQ(before - during, 400u);
  EXPECT_EQ(before, after);
  float* x = nullptr;
  EXPECT_EQ(cudaMalloc(&x, total + 1), cudaErrorMemoryAllocation);
  EXPECT_EQ(x, nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
}

TEST(Memory, RefusesWhatIsNotItsOwn) {
  float host[4] = {1, 2, 3, 4};
  const DeviceArray<float> x(4);
  EXPECT_EQ(cudaFree(host), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(x.data() + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(host, x.data(), sizeof(host), cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(x.data(), host, sizeof(host), cudaMemcpyDefault), cudaSuccess);
  EXPECT_EQ(cudaMemsetAsync(host, 0, sizeof(host), nullptr), cudaErrorInvalidValue);
  cudaGetLastError();
}

TEST(LaunchErrors, NameTheKernelAndTheLine) {
  const DeviceArray<float> x(64);
  for (const auto& [block, shared] :
       {std::pair{2048u, std::size_t{0}}, {0u, std::size_t{0}}, {64u, std::size_t{300} << 10}}) {
    try {
      launch(use_shared, 1, block, shared, nullptr, x.data());
      FAIL() << "no error";
    } catch (const RunError& error) {
      const std::string text = error.what();
      EXPECT_NE(text.find("runtime.cpp:"), std::string::npos) << text;
      if (kAddressSanitizer || kThreadSanitizer) {
        EXPECT_NE(text.find("use_shared"), std::string::npos) << text;
      }
    }
    EXPECT_EQ(cudaPeekAtLastError(), cudaSuccess);
  }
  EXPECT_THROW(launch(use_shared, std::int64_t{1} << 31, 64, 0, nullptr, x.data()), RunError);
  EXPECT_THROW(launch(use_shared, -1, 64, 0, nullptr, x.data()), RunError);
  launch(use_shared, 1, 64, std::size_t{200} << 10, nullptr, x.data());  // launch() asks for more than 48 KiB by itself
}

TEST(Events, TakeTheTime) {
  cudaEvent_t start = nullptr, end = nullptr;
  cudaEventCreate(&start);
  cudaEventCreate(&end);
  float milliseconds = -1.0f;
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, end), cudaErrorInvalidResourceHandle);
  cudaEventRecord(start);
  cudaEventRecord(end);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, end), cudaSuccess);
  EXPECT_TRUE(milliseconds >= 0.0f);
  EXPECT_EQ(cudaEventQuery(end), cudaSuccess);
  cudaEventDestroy(start);
  cudaEventDestroy(end);
  cudaGetLastError();
}

class Capture : public testing::Test {
 protected:
  void SetUp() override { cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking); }
  void TearDown() override {
    cudaStreamDestroy(stream);
    cudaGetLastError();
  }
  void begin() { ASSERT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess); }
  cudaGraphExec_t end() {
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    cudaGraphExec_t executable = nullptr;
    EXPECT_EQ(cudaGraphInstantiate(&executable, graph, 0), cudaSuccess);
    cudaGraphDestroy(graph);
    return executable;
  }
  /// The capture is spoilt: nothing more is recorded and no graph comes out.
  void expect_spoilt() {
    cudaStreamCaptureStatus status;
    cudaStreamIsCapturing(stream, &status);
    EXPECT_EQ(status, cudaStreamCaptureStatusInvalidated);
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
    cudaStreamIsCapturing(stream, &status);
    EXPECT_EQ(status, cudaStreamCaptureStatusNone);
  }
  static void set(const DeviceArray<float>& x, float value) {
    cudaMemcpy(x.data(), &value, sizeof(value), cudaMemcpyHostToDevice);
  }

  cudaStream_t stream = nullptr;
};

TEST_F(Capture, RecordsAndReplaysWithTheMemoryOfThatTime) {
  const DeviceArray<float> factor(std::vector<float>{2.0f}), x(std::vector<float>(32, 1.0f)), copy(32),
      zeroed(std::vector<float>{5.0f});
  float offset = 1.0f;
  begin();
  launch(scale_by, 1, 32, 0, stream, factor.data(), x.data(), offset);
  offset = 100.0f;  // the graph keeps the argument as it was
  cudaMemcpyAsync(copy.data(), x.data(), 32 * sizeof(float), cudaMemcpyDeviceToDevice, stream);
  cudaMemsetAsync(zeroed.data(), 0, sizeof(float), stream);
  const cudaGraphExec_t executable = end();
  EXPECT_EQ(x.values()[0], 1.0f);  // recorded, not run
  EXPECT_EQ(zeroed.values()[0], 5.0f);

  EXPECT_EQ(cudaGraphLaunch(executable, stream), cudaSuccess);
  EXPECT_EQ(copy.values(), std::vector<float>(32, 3.0f));
  EXPECT_EQ(zeroed.values()[0], 0.0f);
  set(factor, 10.0f);  // device memory is read at each replay
  EXPECT_EQ(cudaGraphLaunch(executable, stream), cudaSuccess);
  EXPECT_EQ(copy.values(), std::vector<float>(32, 31.0f));
  cudaGraphExecDestroy(executable);
}

TEST_F(Capture, ForbidsWhatACaptureForbids) {
  const DeviceArray<float> x(4);
  float host[4] = {};
  void* pointer = nullptr;
  const std::function<cudaError_t()> forbidden[] = {
      [&] { return cudaMalloc(&pointer, 16); },
      [&] { return cudaMallocHost(&pointer, 16); },
      [&] { return cudaFree(x.data()); },
      [&] { return cudaMemcpy(host, x.data(), sizeof(host), cudaMemcpyDeviceToHost); },
      [&] { return cudaMemcpyAsync(host, x.data(), sizeof(host), cudaMemcpyDeviceToHost, stream); },
      [&] { return cudaMemset(x.data(), 0, sizeof(host)); },
      [&] { return cudaStreamSynchronize(stream); },
      [&] { return cudaStreamQuery(stream); },
      [&] { return cudaDeviceSynchronize(); },
  };
  for (const auto& call : forbidden) {
    begin();
    EXPECT_EQ(call(), cudaErrorStreamCaptureUnsupported);
    EXPECT_THROW(launch(use_shared, 1, 1, 4, stream, x.data()), RunError);
    expect_spoilt();
  }
  EXPECT_EQ(cudaMemset(x.data(), 0, sizeof(host)), cudaSuccess);  // and after it all is well
}

TEST_F(Capture, CopiesFromPinnedMemoryAsItIsAtReplay) {
  float* pinned = nullptr;
  ASSERT_EQ(cudaMallocHost(&pinned, sizeof(float)), cudaSuccess);
  const DeviceArray<float> x(1);
  *pinned = 1.0f;
  begin();
  EXPECT_EQ(cudaMemcpyAsync(x.data(), pinned, sizeof(float), cudaMemcpyHostToDevice, stream), cudaSuccess);
  const cudaGraphExec_t executable = end();
  *pinned = 2.0f;
  cudaGraphLaunch(executable, stream);
  EXPECT_EQ(x.values()[0], 2.0f);
  cudaGraphExecDestroy(executable);
  cudaFreeHost(pinned);
}

TEST_F(Capture, TakesInOtherStreamsByEvents) {
  const DeviceArray<float> factor(std::vector<float>{2.0f}), x(std::vector<float>(4, 1.0f));
  cudaStream_t side = nullptr;
  cudaStreamCreateWithFlags(&side, cudaStreamNonBlocking);
  cudaEvent_t fork = nullptr, join = nullptr;
  cudaEventCreateWithFlags(&fork, cudaEventDisableTiming);
  cudaEventCreateWithFlags(&join, cudaEventDisableTiming);
  begin();
  cudaEventRecord(fork, stream);
  cudaStreamWaitEvent(side, fork, 0);
  launch(scale_by, 1, 4, 0, side, factor.data(), x.data(), 0.0f);
  cudaEventRecord(join, side);
  cudaStreamWaitEvent(stream, join, 0);
  const cudaGraphExec_t executable = end();
  EXPECT_EQ(x.values()[0], 1.0f);
  cudaGraphLaunch(executable, stream);
  EXPECT_EQ(x.values()[0], 2.0f);
  cudaGraphExecDestroy(executable);

  begin();
  cudaEventRecord(fork, stream);
  cudaStreamWaitEvent(side, fork, 0);
  launch(scale_by, 1, 4, 0, side, factor.data(), x.data(), 0.0f);
  EXPECT_EQ(cudaEventSynchronize(fork), cudaErrorCapturedEvent);
  expect_spoilt();

  begin();
  cudaEventRecord(fork, stream);
  cudaStreamWaitEvent(side, fork, 0);
  launch(scale_by, 1, 4, 0, side, factor.data(), x.data(), 0.0f);  // nobody waits for it
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureUnjoined);
  launch(scale_by, 1, 4, 0, side, factor.data(), x.data(), 0.0f);  // runs again at once
  EXPECT_EQ(x.values()[0], 4.0f);
  cudaEventDestroy(fork);
  cudaEventDestroy(join);
  cudaStreamDestroy(side);
}

TEST_F(Capture, HoldsWorkOfTheHostToo) {
  int runs = 0;
  begin();
  EXPECT_EQ(simt::enqueue(stream, [&] { ++runs; }), cudaSuccess);
  const cudaGraphExec_t executable = end();
  EXPECT_EQ(runs, 0);
  cudaGraphLaunch(executable, stream);
  cudaGraphLaunch(executable, stream);
  EXPECT_EQ(runs, 2);
  cudaGraphExecDestroy(executable);
  EXPECT_EQ(simt::enqueue(stream, [&] { ++runs; }), cudaSuccess);
  EXPECT_EQ(runs, 3);
}

TEST_F(Capture, BeginsAndEndsInPairs) {
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureUnmatched);
  EXPECT_EQ(cudaStreamBeginCapture(nullptr, cudaStreamCaptureModeGlobal), cudaErrorStreamCaptureUnsupported);
  begin();
  EXPECT_NE(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
  cudaGraphExecDestroy(end());
}

}  // namespace

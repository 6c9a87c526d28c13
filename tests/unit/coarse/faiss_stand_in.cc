#include "tests/unit/coarse/faiss_stand_in.h"

#include <memory>
#include <utility>

#include "base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace mrl::test {
namespace {

namespace gpu = coarse::gpu;
using coarse::FaissLibrary;
using ::testing::Le;

absl::Status Outcome(absl::StatusCode code) {
  return code == absl::StatusCode::kOk ? absl::OkStatus()
                                       : absl::Status(code, "faiss_gpu: a test asked for it");
}

absl::StatusOr<std::unique_ptr<FaissLibrary>> CopyOf(const FaissLibrary& library) {
  MRL_ASSIGN_OR_RETURN(std::vector<uint8_t> bytes, library.Serialise());
  return FaissLibrary::Parse(std::move(bytes));
}

// A call of FAISS: no other may run on the device.
class Alone {
 public:
  explicit Alone(FaissCounts& counts) : counts_(counts) {
    EXPECT_EQ(++counts_.at_once, 1) << "GPU indexes are not safe for concurrent calls";
  }
  ~Alone() { --counts_.at_once; }
  Alone(const Alone&) = delete;
  Alone& operator=(const Alone&) = delete;

 private:
  FaissCounts& counts_;
};

class StandInRunner final : public gpu::FaissRunner {
 public:
  StandInRunner(std::unique_ptr<FaissLibrary> library, FaissCounts& counts)
      : library_(std::move(library)), counts_(counts) {}
  ~StandInRunner() override {
    const Alone alone(counts_);
    ++counts_.destroyed;
  }
  absl::Status Search(absl::Span<const float> queries, size_t k, size_t nprobe, float* distances,
                      int64_t* labels) override {
    const Alone alone(counts_);
    EXPECT_THAT(k, Le(gpu::kFaissKMax));
    ++counts_.calls;
    const coarse::Params params =
        nprobe == 0 ? coarse::Params() : coarse::Params{{"nprobe", static_cast<double>(nprobe)}};
    const size_t dims = library_->dims();
    for (size_t q = 0; q < queries.size() / dims; ++q) {
      MRL_ASSIGN_OR_RETURN(const auto found,
                           library_->Search(queries.data() + q * dims, k, nullptr, params));
      for (size_t i = 0; i < found.rows.size(); ++i) {
        const float key = found.rows[i].key;
        distances[q * k + i] = library_->inner_product() ? key : -key;
        labels[q * k + i] = found.rows[i].row;
      }
    }
    return Outcome(counts_.failure);
  }
  absl::Status Train(absl::Span<const float> vectors) override {
    const Alone alone(counts_);
    return library_->Train(vectors);
  }
  absl::Status Add(absl::Span<const float> vectors) override {
    const Alone alone(counts_);
    counts_.added += static_cast<int>(vectors.size() / library_->dims());
    return library_->Add(vectors);
  }
  absl::StatusOr<std::unique_ptr<FaissLibrary>> CopyToHost() override {
    const Alone alone(counts_);
    MRL_RETURN_IF_ERROR(Outcome(counts_.copy_failure));
    return CopyOf(*library_);
  }

 private:
  const std::unique_ptr<FaissLibrary> library_;
  FaissCounts& counts_;
};

class StandInResources final : public gpu::FaissResources {
 public:
  explicit StandInResources(FaissCounts& counts) : counts_(counts) { ++counts_.made; }
  ~StandInResources() override { ++counts_.destroyed; }
  absl::StatusOr<std::unique_ptr<gpu::FaissRunner>> Copy(const FaissLibrary& library,
                                                         gpu::FaissPrecision precision) override {
    const Alone alone(counts_);
    counts_.precision = precision;
    MRL_RETURN_IF_ERROR(Outcome(counts_.copy_refusal));
    MRL_ASSIGN_OR_RETURN(auto copy, CopyOf(library));
    return std::make_unique<StandInRunner>(std::move(copy), counts_);
  }

 private:
  FaissCounts& counts_;
};

}  // namespace

gpu::MakeFaissResources StandInFaiss(FaissCounts& counts) {
  return [&counts](gpu::Device&, uint64_t) -> absl::StatusOr<std::unique_ptr<gpu::FaissResources>> {
    MRL_RETURN_IF_ERROR(Outcome(counts.make_failure));
    return std::make_unique<StandInResources>(counts);
  };
}

}  // namespace mrl::test

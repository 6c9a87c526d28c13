// Kind `faiss`: a FAISS index of a segment, in the host's memory.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/memory_account.h"
#include "index/coarse/coarse.h"
#include "index/coarse/faiss_library.h"
#include "index/store/segment.h"

namespace mrl::coarse {

class FaissIndex : public CoarseIndex {
 public:
  FaissIndex(std::shared_ptr<const store::Segment> segment, std::string factory,
             std::unique_ptr<const FaissLibrary> library, MemoryAccount::Reservation memory)
      : segment_(std::move(segment)),
        factory_(std::move(factory)),
        library_(std::move(library)),
        memory_(std::move(memory)) {}

  absl::string_view kind() const override { return "faiss"; }
  std::string Describe() const override;
  uint32_t dims() const override { return library_->dims(); }
  uint64_t memory_bytes() const override { return memory_.bytes(); }
  Effort effort() const override;
  absl::StatusOr<Result> Search(const Request& request) const override;
  absl::Status Estimate(const float* query, Code code, absl::Span<const uint32_t> rows,
                        float* scores) const override;

  const FaissLibrary& library() const { return *library_; }
  const std::string& factory() const { return factory_; }
  const std::shared_ptr<const store::Segment>& segment() const { return segment_; }
  // What Search refuses a request for, but for its params.
  absl::Status Check(const Request& request) const;
  // The query as FAISS gets it.
  std::vector<float> QueryOf(const Request& request) const;
  // The best `keep` of what was found.
  Result ResultOf(FaissLibrary::Found found, size_t keep) const;

 private:
  const std::shared_ptr<const store::Segment> segment_;
  const std::string factory_;
  const std::unique_ptr<const FaissLibrary> library_;
  const MemoryAccount::Reservation memory_;
};

}  // namespace mrl::coarse

#include "index/collection/part_list.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/status.h"

namespace mrl::collection {
namespace {

// Blocks of an epoch double, so that a small tail is small and a large one has few parts.
constexpr uint64_t kBlockRowsMin = 64;
constexpr uint64_t kBlockRowsMax = 32'768;
constexpr uint64_t kBlockBytesMax = 64 << 20;

bool HasNumber(const std::vector<uint32_t>& numbers, const LivePart& part) {
  return !part.is_tail() &&
         std::find(numbers.begin(), numbers.end(), part.number()) != numbers.end();
}

}  // namespace

LivePart* PartList::FindSegment(uint32_t number) const {
  for (const auto& part : parts_) {
    if (!part->is_tail() && part->number() == number) return part.get();
  }
  return nullptr;
}

std::optional<PartList::Place> PartList::Find(const PointId& id) const {
  // Newest first: what is written again was often written lately.
  for (auto part = parts_.rbegin(); part != parts_.rend(); ++part) {
    if (const std::optional<uint32_t> row = (*part)->Find(id)) return Place{part->get(), *row};
  }
  return std::nullopt;
}

uint64_t PartList::live_rows() const {
  uint64_t rows = 0;
  for (const auto& part : parts_) rows += part->live_rows();
  return rows;
}

uint64_t PartList::EpochRows(uint32_t epoch) const {
  uint64_t rows = 0;
  for (const auto& part : parts_) {
    if (part->is_tail() && part->epoch() == epoch) rows += part->rows();
  }
  return rows;
}

absl::Status PartList::MakeRoom(uint32_t epoch, uint64_t rows, uint64_t bytes) {
  if (rows == 0) return absl::OkStatus();
  uint64_t room = 0;
  for (const auto& part : parts_) {
    if (part->is_tail() && part->epoch() == epoch) room += part->room();
  }
  const uint64_t rows_max =
      std::clamp(kBlockBytesMax / schema_.vector_bytes(), kBlockRowsMin, kBlockRowsMax);
  // Blocks that were made for a write that failed are used by the next one.
  while (room < rows) {
    const uint64_t wanted =
        std::clamp(std::max(EpochRows(epoch), rows - room), kBlockRowsMin, rows_max);
    MRL_ASSIGN_OR_RETURN(std::shared_ptr<store::Tail> tail,
                         store::Tail::Create(schema_, static_cast<uint32_t>(wanted), account_));
    parts_.push_back(std::make_unique<LivePart>(std::move(tail), epoch, kinds_, schema_.fields));
    room += wanted;
  }
  if (bytes == 0) return absl::OkStatus();
  return parts_.back()->Reserve(bytes);
}

void PartList::Append(uint32_t epoch, store::StoredRow row, const filter::RowValues& values) {
  for (const auto& part : parts_) {
    if (part->is_tail() && part->epoch() == epoch && part->room() > 0) {
      part->Append(std::move(row), values);
      return;
    }
  }
  CHECK(false && "MakeRoom was not asked");
}

void PartList::AddSegment(std::unique_ptr<LivePart> segment) {
  const auto tail =
      std::find_if(parts_.begin(), parts_.end(), [](const auto& part) { return part->is_tail(); });
  parts_.insert(tail, std::move(segment));
}

void PartList::ReplaceSegments(const std::vector<uint32_t>& numbers,
                               std::unique_ptr<LivePart> segment) {
  const auto first = std::find_if(parts_.begin(), parts_.end(),
                                  [&](const auto& part) { return HasNumber(numbers, *part); });
  CHECK(first != parts_.end());
  const auto last = first + static_cast<ptrdiff_t>(numbers.size());
  CHECK(std::all_of(first, last, [&](const auto& part) { return HasNumber(numbers, *part); }));
  const auto at = parts_.erase(first, last);
  if (segment != nullptr) parts_.insert(at, std::move(segment));
}

void PartList::DropEpoch(uint32_t epoch) {
  std::erase_if(parts_,
                [&](const auto& part) { return part->is_tail() && part->epoch() == epoch; });
}

void PartList::SetKinds(const std::vector<std::string>& kinds) {
  kinds_ = kinds;
  for (const auto& part : parts_) part->SetKinds(kinds);
}

funnel::View PartList::Publish() const {
  funnel::View view;
  view.schema = schema_;
  view.kinds = kinds_;
  for (const auto& part : parts_) {
    if (part->live_rows() > 0) view.parts.push_back(part->Publish());
  }
  return view;
}

}  // namespace mrl::collection

#include "index/collection/live_part.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "index/coarse/stand_in.h"

namespace mrl::collection {

LivePart::LivePart(std::shared_ptr<const store::Segment> segment, Indexes indexes,
                   std::shared_ptr<const filter::FieldIndex> fields,
                   const std::vector<std::string>& kinds)
    : kinds_(kinds),
      segment_(std::move(segment)),
      opened_(std::move(indexes)),
      fields_(std::move(fields)) {
  MakeIndexes();
}

LivePart::LivePart(std::shared_ptr<store::Tail> tail, uint32_t epoch,
                   std::vector<std::string> kinds, const std::vector<Field>& fields)
    : tail_(std::move(tail)), epoch_(epoch), kinds_(std::move(kinds)) {
  if (fields.empty()) return;
  tail_fields_ = std::make_shared<filter::TailFields>(fields);
  fields_ = tail_fields_;
}

void LivePart::MakeIndexes() {
  Indexes made;
  for (const std::string& kind : kinds_) {
    const auto found = std::find_if(opened_.begin(), opened_.end(),
                                    [&](const auto& index) { return index->kind() == kind; });
    made.push_back(found != opened_.end() ? *found : coarse::MakeStandIn(kind, segment_));
  }
  indexes_ = std::move(made);
}

void LivePart::AddIndex(std::shared_ptr<const coarse::CoarseIndex> index) {
  CHECK(!is_tail());
  opened_.push_back(std::move(index));
  MakeIndexes();
}

void LivePart::SetKinds(std::vector<std::string> kinds) {
  kinds_ = std::move(kinds);
  std::erase_if(opened_, [&](const auto& index) {
    return std::find(kinds_.begin(), kinds_.end(), index->kind()) == kinds_.end();
  });
  // The tail's view is made with its indexes.
  if (is_tail()) {
    indexes_.clear();
  } else {
    MakeIndexes();
  }
}

void LivePart::SetFields(std::shared_ptr<const filter::FieldIndex> fields) {
  CHECK(!is_tail());
  fields_ = std::move(fields);
}

void LivePart::ReadFields(const std::vector<Field>& fields,
                          const std::vector<filter::RowValues>& values) {
  CHECK(is_tail() && values.size() == rows());
  tail_fields_ = fields.empty() ? nullptr : std::make_shared<filter::TailFields>(fields);
  fields_ = tail_fields_;
  for (uint32_t row = 0; tail_fields_ != nullptr && row < values.size(); ++row) {
    tail_fields_->Append(row, values[row]);
  }
}

std::optional<uint32_t> LivePart::Find(const PointId& id) const {
  const std::optional<uint32_t> row =
      is_tail() ? tail_->Find(id, tail_->rows()) : segment_->Find(id);
  return row.has_value() && IsLive(*row) ? row : std::nullopt;
}

bool LivePart::IsLive(uint32_t row) const {
  return row / 64 >= removed_bits_.size() || ((removed_bits_[row / 64] >> (row % 64)) & 1) == 0;
}

const std::shared_ptr<const store::Segment>& LivePart::segment() {
  if (segment_ == nullptr) segment_ = store::Tail::View(tail_, tail_->rows());
  return segment_;
}

void LivePart::Remove(uint32_t row) {
  CHECK(row < rows() && IsLive(row));
  if (row / 64 >= removed_bits_.size()) removed_bits_.resize(row / 64 + 1);
  removed_bits_[row / 64] |= uint64_t{1} << (row % 64);
  ++removed_;
  live_ = nullptr;
}

void LivePart::Append(store::StoredRow row, const filter::RowValues& values) {
  if (tail_fields_ != nullptr) tail_fields_->Append(tail_->rows(), values);
  tail_->Append(std::move(row));
  segment_ = nullptr;
  indexes_.clear();
  live_ = nullptr;
}

LivePart::Bitmap LivePart::Live() {
  if (removed_ == 0) return nullptr;
  if (live_ != nullptr) return live_;
  auto live = std::make_shared<std::vector<uint64_t>>((rows() + 63) / 64, ~uint64_t{0});
  for (size_t word = 0; word < std::min(live->size(), removed_bits_.size()); ++word) {
    (*live)[word] = ~removed_bits_[word];
  }
  live_ = std::move(live);
  return live_;
}

funnel::View::Part LivePart::Publish() {
  segment();
  if (indexes_.empty()) MakeIndexes();
  return {.segment = segment_, .indexes = indexes_, .allowed = Live(), .fields = fields_};
}

}  // namespace mrl::collection

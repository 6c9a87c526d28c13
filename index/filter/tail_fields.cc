#include "index/filter/tail_fields.h"

namespace mrl::filter {

TailFields::TailFields(const std::vector<Field>& fields) {
  absl::MutexLock lock(&mutex_);
  columns_.resize(fields.size());
  for (size_t i = 0; i < fields.size(); ++i) {
    columns_[i].is_keyword = fields[i].type == FieldType::kKeyword;
  }
}

void TailFields::Append(uint32_t row, const RowValues& values) {
  absl::MutexLock lock(&mutex_);
  for (size_t i = 0; i < columns_.size(); ++i) {
    Column& column = columns_[i];
    for (const Value& value : values[i]) {
      int64_t key = value.key;
      if (column.is_keyword) {
        const auto next = static_cast<int64_t>(column.words.size());
        key = column.words.try_emplace(value.text, next).first->second;
      }
      column.rows.push_back(row);
      column.keys.push_back(key);
    }
  }
}

void TailFields::AddWhere(const Column& column, const std::function<bool(int64_t)>& wanted,
                          RowSet* rows) const {
  for (size_t i = 0; i < column.rows.size() && column.rows[i] < rows->rows(); ++i) {
    if (wanted(column.keys[i])) rows->Add(column.rows[i]);
  }
}

void TailFields::AddEqual(size_t field, const Value& value, RowSet* rows) const {
  absl::ReaderMutexLock lock(&mutex_);
  const Column& column = columns_[field];
  int64_t key = value.key;
  if (column.is_keyword) {
    const auto word = column.words.find(value.text);
    if (word == column.words.end()) return;
    key = word->second;
  }
  AddWhere(
      column, [key](int64_t other) { return other == key; }, rows);
}

void TailFields::AddRange(size_t field, int64_t low, int64_t high, RowSet* rows) const {
  absl::ReaderMutexLock lock(&mutex_);
  AddWhere(
      columns_[field], [=](int64_t key) { return low <= key && key <= high; }, rows);
}

void TailFields::AddPresent(size_t field, RowSet* rows) const {
  absl::ReaderMutexLock lock(&mutex_);
  AddWhere(
      columns_[field], [](int64_t) { return true; }, rows);
}

uint64_t TailFields::memory_bytes() const {
  absl::ReaderMutexLock lock(&mutex_);
  uint64_t bytes = 0;
  for (const Column& column : columns_) {
    bytes += column.rows.capacity() * sizeof(uint32_t) + column.keys.capacity() * sizeof(int64_t);
    for (const auto& [word, number] : column.words) bytes += 96 + word.size();
  }
  return bytes;
}

}  // namespace mrl::filter

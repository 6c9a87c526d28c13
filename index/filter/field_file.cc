#include "index/filter/field_file.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/buffer.h"
#include "base/check.h"
#include "base/status.h"
#include "index/format/manifest.h"
#include "index/format/section_file.h"

namespace mrl::filter {
namespace {

constexpr char kFieldsSection[] = "fields";  // FormatFields of the schema
constexpr size_t kSectionsPerField = 4;

std::string SectionName(size_t field, absl::string_view part) {
  return absl::StrCat(field, ".", part);
}

// Units of u32 that a bitmap over `rows` rows takes.
uint32_t BitmapUnits(uint32_t rows) { return (rows + 63) / 64 * 2; }

// One field as it lies in the file.
struct Posted {
  std::vector<int64_t> keys;  // rising; of keywords empty
  std::string text;           // of keywords: the words, sorted, end to end
  std::vector<uint64_t> text_offsets;
  std::vector<uint32_t> row_offsets = {0};  // in units of `rows`
  std::vector<uint32_t> rows;  // of each value a list or, where it is shorter, a bitmap
};

void PostRows(absl::Span<const std::pair<int64_t, uint32_t>> entries, uint32_t rows,
              Posted* posted) {
  const uint32_t bitmap = BitmapUnits(rows);
  if (entries.size() < bitmap) {
    for (const auto& [key, row] : entries) posted->rows.push_back(row);
  } else {
    const size_t at = posted->rows.size();
    posted->rows.resize(at + bitmap);
    for (const auto& [key, row] : entries) posted->rows[at + row / 32] |= 1U << (row % 32);
  }
  posted->row_offsets.push_back(static_cast<uint32_t>(posted->rows.size()));
}

// Numbers words in their order in place of that of their coming.
void SortWords(const std::unordered_map<std::string, int64_t>& words,
               std::vector<std::pair<int64_t, uint32_t>>& entries, Posted* posted) {
  std::vector<const std::pair<const std::string, int64_t>*> sorted;
  sorted.reserve(words.size());
  for (const auto& word : words) sorted.push_back(&word);
  std::sort(sorted.begin(), sorted.end(),
            [](const auto* a, const auto* b) { return a->first < b->first; });
  std::vector<int64_t> ranks(sorted.size());
  for (size_t i = 0; i < sorted.size(); ++i) {
    ranks[static_cast<size_t>(sorted[i]->second)] = static_cast<int64_t>(i);
    posted->text_offsets.push_back(posted->text.size());
    posted->text += sorted[i]->first;
  }
  posted->text_offsets.push_back(posted->text.size());
  for (auto& [key, row] : entries) key = ranks[static_cast<size_t>(key)];
}

// Groups a column's entries by their keys.
void PostColumn(std::vector<std::pair<int64_t, uint32_t>>& entries, bool is_keyword, uint32_t rows,
                Posted* posted) {
  std::sort(entries.begin(), entries.end());
  for (size_t begin = 0; begin < entries.size();) {
    size_t end = begin;
    while (end < entries.size() && entries[end].first == entries[begin].first) ++end;
    if (!is_keyword) posted->keys.push_back(entries[begin].first);
    PostRows(absl::MakeConstSpan(entries).subspan(begin, end - begin), rows, posted);
    begin = end;
  }
}

std::vector<format::SectionSpec> SectionsOf(size_t field, const Posted& posted) {
  const bool is_keyword = !posted.text_offsets.empty();
  return {{.name = SectionName(field, is_keyword ? "text" : "keys"),
           .bytes_max = posted.text.size() + posted.keys.size() * sizeof(int64_t)},
          {.name = SectionName(field, "text_offsets"),
           .bytes_max = posted.text_offsets.size() * sizeof(uint64_t)},
          {.name = SectionName(field, "row_offsets"),
           .bytes_max = posted.row_offsets.size() * sizeof(uint32_t)},
          {.name = SectionName(field, "rows"), .bytes_max = posted.rows.size() * sizeof(uint32_t)}};
}

absl::Status WriteField(const Posted& posted, size_t section, format::SectionFileWriter& file) {
  const auto text = absl::MakeConstSpan(posted.text);
  MRL_RETURN_IF_ERROR(file.Append(section, format::AsBytes<char>(text)));
  MRL_RETURN_IF_ERROR(file.Append(section, format::AsBytes<int64_t>(posted.keys)));
  MRL_RETURN_IF_ERROR(file.Append(section + 1, format::AsBytes<uint64_t>(posted.text_offsets)));
  MRL_RETURN_IF_ERROR(file.Append(section + 2, format::AsBytes<uint32_t>(posted.row_offsets)));
  return file.Append(section + 3, format::AsBytes<uint32_t>(posted.rows));
}

// DATA_LOSS names the file.
class FieldFileReader {
 public:
  FieldFileReader(std::string path, std::unique_ptr<format::SectionFileReader> file)
      : path_(std::move(path)), file_(std::move(file)) {}

  const format::SectionFileReader& file() const { return *file_; }

  template <typename T>
  absl::StatusOr<std::vector<T>> Load(const std::string& section) const {
    const uint64_t bytes = file_->size(section);
    if (bytes % sizeof(T) != 0) return Damaged(section, "its size is impossible");
    MRL_RETURN_IF_ERROR(file_->ExpectSize(section, bytes));
    std::vector<T> values(bytes / sizeof(T));
    MRL_RETURN_IF_ERROR(file_->Load(section, {reinterpret_cast<std::byte*>(values.data()), bytes}));
    return values;
  }
  absl::Status Damaged(absl::string_view section, absl::string_view what) const {
    return absl::DataLossError(absl::StrCat(path_, ": section `", section, "`: ", what));
  }
  // Offsets into something of `end` units.
  template <typename T>
  absl::Status CheckOffsets(const std::string& section, const std::vector<T>& offsets,
                            uint64_t end) const {
    if (!offsets.empty() && offsets.front() == 0 && offsets.back() == end &&
        std::is_sorted(offsets.begin(), offsets.end())) {
      return absl::OkStatus();
    }
    return Damaged(section, "the offsets do not rise, or end elsewhere");
  }

 private:
  const std::string path_;
  const std::unique_ptr<format::SectionFileReader> file_;
};

class FieldFile final : public FieldIndex {
 public:
  FieldFile(uint32_t rows, MemoryAccount::Reservation memory)
      : rows_(rows), memory_(std::move(memory)) {}

  absl::Status LoadField(const FieldFileReader& reader, size_t field, bool is_keyword) {
    Posted& posted = fields_.emplace_back();
    if (is_keyword) {
      MRL_RETURN_IF_ERROR(LoadWords(reader, field, &posted));
    } else {
      MRL_ASSIGN_OR_RETURN(posted.keys, reader.Load<int64_t>(SectionName(field, "keys")));
      if (std::adjacent_find(posted.keys.begin(), posted.keys.end(), std::greater_equal<>()) !=
          posted.keys.end()) {
        return reader.Damaged(SectionName(field, "keys"), "the keys do not rise");
      }
    }
    const std::string offsets = SectionName(field, "row_offsets");
    MRL_ASSIGN_OR_RETURN(posted.row_offsets, reader.Load<uint32_t>(offsets));
    MRL_ASSIGN_OR_RETURN(posted.rows, reader.Load<uint32_t>(SectionName(field, "rows")));
    MRL_RETURN_IF_ERROR(reader.CheckOffsets(offsets, posted.row_offsets, posted.rows.size()));
    if (posted.row_offsets.size() != CountOf(posted) + 1) {
      return reader.Damaged(offsets, "it has another number of values");
    }
    return CheckRows(reader, field, posted);
  }

  void AddEqual(size_t field, const Value& value, RowSet* rows) const override {
    const Posted& posted = fields_[field];
    if (!posted.text_offsets.empty()) {
      const size_t at = FindWord(posted, value.text);
      if (at < CountOf(posted) && WordAt(posted, at) == value.text) Add(posted, at, rows);
      return;
    }
    AddRange(field, value.key, value.key, rows);
  }
  void AddRange(size_t field, int64_t low, int64_t high, RowSet* rows) const override {
    const Posted& posted = fields_[field];
    auto key = std::lower_bound(posted.keys.begin(), posted.keys.end(), low);
    for (; key != posted.keys.end() && *key <= high; ++key) {
      Add(posted, static_cast<size_t>(key - posted.keys.begin()), rows);
    }
  }
  void AddPresent(size_t field, RowSet* rows) const override {
    for (size_t i = 0; i < CountOf(fields_[field]); ++i) Add(fields_[field], i, rows);
  }
  uint64_t memory_bytes() const override { return memory_.bytes(); }

 private:
  static size_t CountOf(const Posted& posted) {
    return posted.text_offsets.empty() ? posted.keys.size() : posted.text_offsets.size() - 1;
  }
  static absl::string_view WordAt(const Posted& posted, size_t i) {
    return absl::string_view(posted.text)
        .substr(posted.text_offsets[i], posted.text_offsets[i + 1] - posted.text_offsets[i]);
  }
  // The first word that is not before `text`.
  static size_t FindWord(const Posted& posted, absl::string_view text) {
    size_t begin = 0;
    size_t end = CountOf(posted);
    while (begin < end) {
      const size_t middle = begin + (end - begin) / 2;
      if (WordAt(posted, middle) < text) {
        begin = middle + 1;
      } else {
        end = middle;
      }
    }
    return begin;
  }

  absl::Span<const uint32_t> RowsOf(const Posted& posted, size_t i) const {
    return absl::MakeConstSpan(posted.rows)
        .subspan(posted.row_offsets[i], posted.row_offsets[i + 1] - posted.row_offsets[i]);
  }
  void Add(const Posted& posted, size_t i, RowSet* rows) const {
    const absl::Span<const uint32_t> units = RowsOf(posted, i);
    if (units.size() < BitmapUnits(rows_)) {
      for (const uint32_t row : units) rows->Add(row);
      return;
    }
    rows->AddBits(units);
  }

  absl::Status LoadWords(const FieldFileReader& reader, size_t field, Posted* posted) {
    const std::string text = SectionName(field, "text");
    const std::string offsets = SectionName(field, "text_offsets");
    MRL_ASSIGN_OR_RETURN(const std::vector<char> bytes, reader.Load<char>(text));
    posted->text.assign(bytes.begin(), bytes.end());
    MRL_ASSIGN_OR_RETURN(posted->text_offsets, reader.Load<uint64_t>(offsets));
    MRL_RETURN_IF_ERROR(reader.CheckOffsets(offsets, posted->text_offsets, posted->text.size()));
    for (size_t i = 1; i < CountOf(*posted); ++i) {
      if (WordAt(*posted, i - 1) >= WordAt(*posted, i)) {
        return reader.Damaged(text, "the words are not sorted");
      }
    }
    return absl::OkStatus();
  }
  absl::Status CheckRows(const FieldFileReader& reader, size_t field, const Posted& posted) const {
    const std::string section = SectionName(field, "rows");
    for (size_t i = 0; i < CountOf(posted); ++i) {
      const absl::Span<const uint32_t> units = RowsOf(posted, i);
      if (units.size() > BitmapUnits(rows_)) return reader.Damaged(section, "a list is too long");
      if (units.size() == BitmapUnits(rows_)) continue;
      for (const uint32_t row : units) {
        if (row >= rows_) return reader.Damaged(section, "a row is out of range");
      }
    }
    return absl::OkStatus();
  }

  const uint32_t rows_;
  const MemoryAccount::Reservation memory_;
  std::vector<Posted> fields_;
};

}  // namespace

FieldFileWriter::FieldFileWriter(const Schema& schema)
    : schema_(schema), columns_(schema.fields.size()) {}

void FieldFileWriter::Append(const RowValues& values) {
  for (size_t i = 0; i < columns_.size(); ++i) {
    Column& column = columns_[i];
    for (const Value& value : values[i]) {
      int64_t key = value.key;
      if (schema_.fields[i].type == FieldType::kKeyword) {
        const auto next = static_cast<int64_t>(column.words.size());
        key = column.words.try_emplace(value.text, next).first->second;
      }
      column.entries.emplace_back(key, rows_);
    }
  }
  ++rows_;
}

absl::StatusOr<uint64_t> FieldFileWriter::Finish(FileSystem& files, const std::string& path,
                                                 const store::SegmentInfo& segment) {
  CHECK(rows_ == segment.rows);
  const std::string names = FormatFields(schema_.fields);
  std::vector<format::SectionSpec> sections = {{.name = kFieldsSection, .bytes_max = names.size()}};
  std::vector<Posted> fields;
  for (size_t i = 0; i < columns_.size(); ++i) {
    const bool is_keyword = schema_.fields[i].type == FieldType::kKeyword;
    Posted& posted = fields.emplace_back();
    if (is_keyword) SortWords(columns_[i].words, columns_[i].entries, &posted);
    PostColumn(columns_[i].entries, is_keyword, rows_, &posted);
    if (posted.rows.size() > std::numeric_limits<uint32_t>::max()) {
      return absl::ResourceExhaustedError(
          absl::StrCat("field '", schema_.fields[i].name, "' has too many values for one segment"));
    }
    for (format::SectionSpec& section : SectionsOf(i, posted)) {
      sections.push_back(std::move(section));
    }
  }
  MRL_ASSIGN_OR_RETURN(const auto file, format::SectionFileWriter::Create(files, path, sections));
  MRL_RETURN_IF_ERROR(file->Append(0, format::AsBytes<char>(absl::MakeConstSpan(names))));
  for (size_t i = 0; i < fields.size(); ++i) {
    MRL_RETURN_IF_ERROR(WriteField(fields[i], 1 + i * kSectionsPerField, *file));
  }
  return file->Finish({.kind = format::FileKind::kFilter,
                       .uuid = format::NewUuid(),
                       .bound_uuid = segment.uuid,
                       .schema_hash = format::SchemaHash(schema_)});
}

absl::StatusOr<std::shared_ptr<const FieldIndex>> OpenFieldFile(FileSystem& files,
                                                                const std::string& path,
                                                                const store::Segment& segment,
                                                                const std::vector<Field>& fields,
                                                                MemoryAccount& account) {
  MRL_ASSIGN_OR_RETURN(auto file,
                       format::SectionFileReader::Open(files, path, format::FileKind::kFilter));
  if (file->header().bound_uuid != segment.info().uuid) {
    return absl::DataLossError(absl::StrCat(path, ": belongs to segment ",
                                            file->header().bound_uuid, ", not to ",
                                            segment.info().uuid));
  }
  MRL_ASSIGN_OR_RETURN(MemoryAccount::Reservation memory,
                       account.Reserve(file->file_bytes(), path));
  const FieldFileReader reader(path, std::move(file));
  MRL_ASSIGN_OR_RETURN(const std::vector<char> names, reader.Load<char>(kFieldsSection));
  if (std::string(names.begin(), names.end()) != FormatFields(fields)) {
    return reader.Damaged(kFieldsSection, "it was made for other fields");
  }
  auto index = std::make_shared<FieldFile>(segment.rows(), std::move(memory));
  for (size_t i = 0; i < fields.size(); ++i) {
    MRL_RETURN_IF_ERROR(index->LoadField(reader, i, fields[i].type == FieldType::kKeyword));
  }
  return std::shared_ptr<const FieldIndex>(std::move(index));
}

}  // namespace mrl::filter

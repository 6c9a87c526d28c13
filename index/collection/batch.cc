#include "index/collection/batch.h"

#include "base/check.h"
#include "index/collection/batch_impl.h"
#include "index/collection/database.h"

namespace mrl::collection {
namespace {

// A WriteBatch only grows; its operations fail for sizes beyond 4 GB, which no request reaches.
void Must(const rocksdb::Status& status) { CHECK(status.ok()); }

}  // namespace

Batch::Batch(const Families& families) : impl_(std::make_unique<Impl>(families)) {}
Batch::~Batch() = default;
Batch::Batch(Batch&&) noexcept = default;

void Batch::PutRow(uint32_t epoch, uint64_t sequence, const std::string& bytes) {
  Must(impl_->writes_.Put(impl_->families_.tail, PairKey(epoch, sequence), bytes));
}

void Batch::RemoveRow(uint32_t epoch, uint64_t sequence) {
  Must(impl_->writes_.Delete(impl_->families_.tail, PairKey(epoch, sequence)));
}

void Batch::DropEpochsBefore(uint32_t epoch) {
  Must(impl_->writes_.DeleteRange(impl_->families_.tail, PairKey(0, uint64_t{0}),
                                  PairKey(epoch, uint64_t{0})));
}

void Batch::PutId(const PointId& id, uint64_t sequence) {
  Must(impl_->writes_.Put(impl_->families_.ids, IdKey(id), EncodeSequence(sequence)));
}

void Batch::RemoveId(const PointId& id) {
  Must(impl_->writes_.Delete(impl_->families_.ids, IdKey(id)));
}

void Batch::PutDeletion(uint32_t segment, uint32_t row, uint64_t sequence) {
  Must(impl_->writes_.Put(impl_->families_.deletions, PairKey(segment, row),
                          EncodeSequence(sequence)));
}

void Batch::DropDeletions(uint32_t segment) {
  Must(impl_->writes_.DeleteRange(impl_->families_.deletions, PairKey(segment, uint32_t{0}),
                                  PairKey(segment + 1, uint32_t{0})));
}

void Batch::PutManifest(const std::string& bytes) {
  Must(impl_->writes_.Put(impl_->families_.manifest, kManifestKey, bytes));
}

void Batch::PutRotation(const std::string& bytes) {
  Must(impl_->writes_.Put(impl_->families_.manifest, kRotationKey, bytes));
}

void Batch::PutSequence(uint64_t sequence) {
  Must(impl_->writes_.Put(impl_->families_.manifest, kSequenceKey, EncodeSequence(sequence)));
}

}  // namespace mrl::collection

// Messages to the client's values and back.
#pragma once

#include <string>
#include <vector>

#include "absl/types/span.h"
#include "client/cpp/types.h"
#include "google/longrunning/operations.pb.h"
#include "mrl/v1/collection.pb.h"
#include "mrl/v1/common.pb.h"
#include "mrl/v1/index.pb.h"
#include "mrl/v1/point.pb.h"

namespace mrl::client {

void ToProto(const Id& id, v1::PointId* out);
Id FromProto(const v1::PointId& id);
void ToProto(absl::Span<const float> vector, v1::Vector* out);
// Of 32-bit floats, as this client asks for; empty where there is none.
std::vector<float> FromProto(const v1::Vector& vector);
Collection FromProto(const v1::Collection& collection);
Point FromProto(const v1::Point& point);
Index FromProto(const v1::Index& index);
Operation FromProto(const google::longrunning::Operation& operation);

}  // namespace mrl::client

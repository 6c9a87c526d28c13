// The build without FAISS's GPU classes.
#include "index/coarse/gpu/faiss_runner.h"

namespace mrl::coarse::gpu {

MakeFaissResources FaissOfDevices() { return nullptr; }

}  // namespace mrl::coarse::gpu

// Reads a FeatureMap's fields and data from a file, prints what feature_map.hpp makes of it, one line a question.
#include <perception_contrast/feature_map.hpp>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#ifdef WITH_ROS_MESSAGE
#include <perception_contrast_msgs/msg/feature_map.hpp>
using Message = perception_contrast_msgs::msg::FeatureMap;
#else
// The fields of perception_contrast_msgs/FeatureMap.
struct Message
{
  std::string model, space, dtype;
  std::uint32_t height{}, width{}, channels{}, image_width{}, image_height{};
  bool normalized{};
  std::array<float, 4> grid_to_image{};
  std::vector<std::uint8_t> data;
};
#endif

namespace
{

Message read(const std::string & path)
{
  std::ifstream file(path, std::ios::binary);
  Message message;
  file >> message.dtype >> message.height >> message.width >> message.channels >> message.image_height >>
  message.image_width;
  for (auto & value : message.grid_to_image) {file >> value;}
  file.get();
  message.data.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  return message;
}

template<class Values>
void print(const char * name, const Values & values, std::size_t count)
{
  std::printf("%s", name);
  for (std::size_t i = 0; i < count; ++i) {std::printf(" %.9g", static_cast<double>(values[i]));}
  std::printf("\n");
}

void dump(const Message & message)
{
  const perception_contrast::FeatureMapView map(message);
  const auto all = map.to_vector();
  print("vector", all, all.size());
  const auto corner = map.at(map.height() - 1, map.width() - 1);
  print("corner", corner, corner.size());
  const auto [x, y] = map.pixel_of(1.0, 2.0);
  const auto [row, column] = map.cell_of(x, y);
  print("pixel", std::array<double, 4>{x, y, row, column}, 4);
#ifdef PERCEPTION_CONTRAST_HAS_EIGEN
  const auto matrix = map.to_float();
  print("eigen", matrix.data(), static_cast<std::size_t>(matrix.size()));
  const void * where = map.type() == perception_contrast::Type::float32 ?
    static_cast<const void *>(map.eigen<float>().data()) :
    static_cast<const void *>(map.eigen<Eigen::half>().data());
  print("eigen_no_copy", std::array<int, 1>{where == message.data.data()}, 1);
  // A product, as users would: every cell with the first.
  const Eigen::VectorXf products = matrix * matrix.row(0).transpose();
  print("products", products, static_cast<std::size_t>(products.size()));
#endif
#ifdef PERCEPTION_CONTRAST_HAS_OPENCV
  cv::Mat floats;
  map.mat().convertTo(floats, CV_32F);
  print("opencv", floats.ptr<float>(), floats.total() * floats.channels());
  const cv::Mat cells = map.mat_of_cells();
  print(
    "opencv_shape", std::array<int, 5>{
    map.mat().rows, map.mat().cols, map.mat().channels(), cells.rows, cells.cols}, 5);
  print("opencv_no_copy", std::array<int, 1>{cells.data == message.data.data()}, 1);
#endif
  try {
    // The type that it is not.
    map.type() == perception_contrast::Type::float32 ? (void)map.values<std::uint16_t>() :
    (void)map.values<float>();
    std::printf("other_type accepted\n");
  } catch (const perception_contrast::FeatureMapError &) {
    std::printf("other_type refused\n");
  }
}

void all_halves()
{
  std::vector<float> floats(65536);
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    floats[bits] = perception_contrast::half_to_float(static_cast<std::uint16_t>(bits));
  }
  std::fwrite(floats.data(), sizeof(float), floats.size(), stdout);
}

}  // namespace

int main(int argc, char ** argv)
{
  if (argc < 2) {
    all_halves();
    return 0;
  }
  try {
    dump(read(argv[1]));
  } catch (const perception_contrast::FeatureMapError & error) {
    std::printf("error %s\n", error.what());
  }
  return 0;
}

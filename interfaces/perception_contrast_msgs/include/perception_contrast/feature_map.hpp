// A FeatureMap as a matrix, without a copy: plain rows, Eigen::Map and cv::Mat.
//
//   #include <perception_contrast/feature_map.hpp>
//   void on_features(const perception_contrast_msgs::msg::FeatureMap & message) {
//     const perception_contrast::FeatureMapView map(message);      // throws FeatureMapError
//     auto features = map.eigen<float>();                          // (cells, channels), for "float32"
//     Eigen::MatrixXf any = map.to_float();                        // a float copy of either type
//     auto [x, y] = map.pixel_of(row, column);
//   }
//
// The view points into the message's data and must not outlive it. The header needs C++17 alone; what is for
// Eigen 3.4 or OpenCV is there where its headers are, and PERCEPTION_CONTRAST_NO_EIGEN or _NO_OPENCV leaves it
// out. Any type with the fields of perception_contrast_msgs/FeatureMap will do as message.

#ifndef PERCEPTION_CONTRAST__FEATURE_MAP_HPP_
#define PERCEPTION_CONTRAST__FEATURE_MAP_HPP_

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#if !defined(PERCEPTION_CONTRAST_NO_EIGEN) && __has_include(<Eigen/Core>)
#include <Eigen/Core>
#define PERCEPTION_CONTRAST_HAS_EIGEN 1
#endif
#if !defined(PERCEPTION_CONTRAST_NO_OPENCV) && __has_include(<opencv2/core.hpp>)
#include <opencv2/core.hpp>
#define PERCEPTION_CONTRAST_HAS_OPENCV 1
#endif

namespace perception_contrast
{

static_assert(
#if defined(__BYTE_ORDER__)
  __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
#else
  true,
#endif
  "FeatureMap data is little endian; a machine of the other order has to swap bytes first");

/// A FeatureMap whose fields contradict each other, or that was asked for as another type than it is.
class FeatureMapError : public std::runtime_error
{
public:
  using std::runtime_error::runtime_error;
};

enum class Type { float16, float32 };

/// IEEE 754 binary16 bits to float, exactly; denormals, infinities and NaN included.
inline float half_to_float(std::uint16_t bits) noexcept
{
  const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
  const std::uint32_t exponent = (bits >> 10) & 0x1fu;
  const std::uint32_t fraction = bits & 0x3ffu;
  if (exponent == 0) {
    // Zero or a denormal: fraction * 2^-24.
    const float value = std::ldexp(static_cast<float>(fraction), -24);
    return sign ? -value : value;
  }
  const std::uint32_t word =
    sign | ((exponent == 31 ? 255u : exponent + 112u) << 23) | (fraction << 13);
  float value;
  std::memcpy(&value, &word, sizeof(value));
  return value;
}

/// The fields of a FeatureMap, checked once, and its values where they lie.
class FeatureMapView
{
public:
  /// Throws FeatureMapError where type, sizes, data and map do not agree.
  template<class Message>
  explicit FeatureMapView(const Message & message)
  : type_(type_of(message.dtype)),
    height_(message.height), width_(message.width), channels_(message.channels),
    image_height_(message.image_height), image_width_(message.image_width),
    data_(reinterpret_cast<const std::uint8_t *>(message.data.data()))
  {
    static_assert(sizeof(*message.data.data()) == 1, "data must be bytes");
    const std::size_t size = message.data.size();
    // Divided and not multiplied: three 32-bit sides can overflow any word.
    const std::size_t cell = static_cast<std::size_t>(channels_) * item_size();
    const bool positive = height_ > 0 && width_ > 0 && channels_ > 0;
    const bool fits = positive && size % cell == 0 && (size / cell) % width_ == 0 &&
      size / cell / width_ == height_;
    if (!fits) {
      throw FeatureMapError(
              "FeatureMap of " + std::to_string(height_) + "x" + std::to_string(width_) + "x" +
              std::to_string(channels_) + " " + message.dtype + " has " + std::to_string(size) +
              " bytes, which is not what these say, or none");
    }
    if (reinterpret_cast<std::uintptr_t>(data_) % item_size() != 0) {
      throw FeatureMapError("FeatureMap data is not aligned to its values");
    }
    for (std::size_t i = 0; i < 4; ++i) {
      grid_to_image_[i] = static_cast<float>(message.grid_to_image[i]);
    }
    const auto & [sx, sy, ox, oy] = grid_to_image_;
    if (!(std::isfinite(sx) && std::isfinite(sy) && std::isfinite(ox) && std::isfinite(oy) &&
      sx > 0.0f && sy > 0.0f))
    {
      throw FeatureMapError("FeatureMap grid_to_image is not a map to pixels");
    }
  }

  /// The view would point to data that is gone.
  template<class Message, class = std::enable_if_t<!std::is_lvalue_reference_v<Message> &&
    !std::is_same_v<std::decay_t<Message>, FeatureMapView>>>
  explicit FeatureMapView(Message && message) = delete;

  Type type() const noexcept {return type_;}
  std::size_t height() const noexcept {return height_;}
  std::size_t width() const noexcept {return width_;}
  std::size_t channels() const noexcept {return channels_;}
  std::size_t cells() const noexcept {return height() * width();}
  /// Of the source image, in pixels.
  std::size_t image_height() const noexcept {return image_height_;}
  std::size_t image_width() const noexcept {return image_width_;}

  /// Pixel (x, y) of the centre of a cell, which may lie between rows and columns; pixel centres are integers.
  std::pair<double, double> pixel_of(double row, double column) const noexcept
  {
    const auto & [sx, sy, ox, oy] = grid_to_image_;
    return {sx * column + ox, sy * row + oy};
  }

  /// (row, column) of a pixel, between cells too; the inverse of pixel_of.
  std::pair<double, double> cell_of(double x, double y) const noexcept
  {
    const auto & [sx, sy, ox, oy] = grid_to_image_;
    return {(y - oy) / sy, (x - ox) / sx};
  }

  /// cells() * channels() values, cell by cell along the rows. Scalar: float for float32, else 16 bits wide.
  template<class Scalar>
  const Scalar * values() const
  {
    require<Scalar>();
    return reinterpret_cast<const Scalar *>(data_);
  }

  /// The channels of one cell as floats, whatever the type. Throws FeatureMapError outside the grid.
  std::vector<float> at(std::size_t row, std::size_t column) const
  {
    if (row >= height() || column >= width()) {
      throw FeatureMapError("FeatureMap has no cell " + std::to_string(row) + ", " + std::to_string(column));
    }
    std::vector<float> vector(channels());
    copy((row * width() + column) * channels(), vector.size(), vector.data());
    return vector;
  }

  /// All values as floats, in their order.
  std::vector<float> to_vector() const
  {
    std::vector<float> all(cells() * channels());
    copy(0, all.size(), all.data());
    return all;
  }

#ifdef PERCEPTION_CONTRAST_HAS_EIGEN
  template<class Scalar>
  using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

  /// (cells, channels) on the message's data; a row is a cell, cells run along the grid's rows.
  /// Scalar: float for float32, Eigen::half for float16, else FeatureMapError.
  template<class Scalar>
  Eigen::Map<const Matrix<Scalar>> eigen() const
  {
    return {values<Scalar>(), static_cast<Eigen::Index>(cells()), static_cast<Eigen::Index>(channels())};
  }

  /// A float copy (cells, channels) of either type.
  Matrix<float> to_float() const
  {
    return type_ == Type::float32 ? Matrix<float>(eigen<float>()) :
           Matrix<float>(eigen<Eigen::half>().template cast<float>());
  }
#endif

#ifdef PERCEPTION_CONTRAST_HAS_OPENCV
  /// (height, width) of CV_32FC(channels) or CV_16FC(channels) on the message's data, at most CV_CN_MAX channels.
  /// OpenCV knows no read-only matrices: do not write to it. Its convertTo makes floats of CV_16F.
  cv::Mat mat() const
  {
    if (channels_ > CV_CN_MAX) {
      throw FeatureMapError(
              "cv::Mat holds at most " + std::to_string(CV_CN_MAX) + " channels, not " +
              std::to_string(channels_) + "; use mat_of_cells");
    }
    return cv::Mat(
      static_cast<int>(height_), static_cast<int>(width_),
      CV_MAKETYPE(depth(), static_cast<int>(channels_)), const_cast<std::uint8_t *>(data_));
  }

  /// (cells, channels) of one channel, for cv::kmeans, cv::PCA and matrix products; on the message's data too.
  cv::Mat mat_of_cells() const
  {
    return cv::Mat(
      static_cast<int>(cells()), static_cast<int>(channels_), depth(), const_cast<std::uint8_t *>(data_));
  }
#endif

private:
  static Type type_of(const std::string & name)
  {
    if (name == "float16") {return Type::float16;}
    if (name == "float32") {return Type::float32;}
    throw FeatureMapError("FeatureMap dtype '" + name + "' is unknown; one of float16, float32");
  }

  std::size_t item_size() const noexcept {return type_ == Type::float16 ? 2 : 4;}

  template<class Scalar>
  void require() const
  {
    static_assert(sizeof(Scalar) == 2 || std::is_same_v<Scalar, float>, "float, or a type of 16 bits");
    if (sizeof(Scalar) != item_size()) {
      throw FeatureMapError(
              std::string("FeatureMap holds ") + (type_ == Type::float16 ? "float16" : "float32") +
              " and was asked for as the other; to_float takes either");
    }
  }

  void copy(std::size_t first, std::size_t count, float * to) const
  {
    if (type_ == Type::float32) {
      std::memcpy(to, data_ + 4 * first, 4 * count);
      return;
    }
    const auto * halves = reinterpret_cast<const std::uint16_t *>(data_) + first;
    for (std::size_t i = 0; i < count; ++i) {
      to[i] = half_to_float(halves[i]);
    }
  }

#ifdef PERCEPTION_CONTRAST_HAS_OPENCV
  int depth() const noexcept {return type_ == Type::float16 ? CV_16F : CV_32F;}
#endif

  Type type_;
  std::uint32_t height_, width_, channels_, image_height_, image_width_;
  std::array<float, 4> grid_to_image_{};
  const std::uint8_t * data_;
};

}  // namespace perception_contrast

#endif  // PERCEPTION_CONTRAST__FEATURE_MAP_HPP_

"""Types that every room shares: Frame, CameraModel, FeatureGrid, Query, Vocabulary, Detection."""

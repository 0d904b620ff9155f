"""Detections that keep one id over time: association, Kalman filter, camera motion."""

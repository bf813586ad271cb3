"""Tests of the whole: real processes against doubles of the services they speak to."""

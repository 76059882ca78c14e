"""The nnU-Net stage: automatic tumour ROIs, out of fold for training cases, by the ensemble for new ones."""

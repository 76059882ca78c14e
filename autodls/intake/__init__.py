"""What a folder of images and a table are together: a dataset as it may be meant, with what had to be guessed."""

"""What people see of an image, which never changes what the model sees."""

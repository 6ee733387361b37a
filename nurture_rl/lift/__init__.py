"""What a policy adds over business as usual, measured on people whom chance dealt to arms."""

"""What a person wants to know before paying: does it fit, how long until it answers, what will it cost?"""

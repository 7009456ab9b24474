"""The 46 operations of Athena, one module for each few tags of the vendor's document."""

"""An embedded AWS for trying and testing the module on one machine; never part of the Lambda package."""

"""Run by spark-submit: the executors use the Python of each archive's folder in turn.

The driver has pyspark and what its pandas UDFs need, but not the packed project.
"""

import json
import sys

import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql.functions import pandas_udf


def whereabouts(number):
    from spark_job import whereabouts

    return whereabouts(number)


def half(column: pd.Series) -> pd.Series:
    from spark_job import half

    return half(column)


def main():
    spark = SparkSession.builder.appName("spark-job").getOrCreate()
    context = spark.sparkContext
    for folder in sys.argv[1:]:
        context.pythonExec = f"./{folder}/bin/python"
        workers = context.parallelize(range(2), 2).map(whereabouts).collect()
        halves = spark.range(0, 10, 1, 2).select(pandas_udf(half, "double")("id").alias("half"))
        total = sum(row.half for row in halves.collect())
        print("ANSWER", json.dumps({"folder": folder, "workers": workers, "total": total}))
    spark.stop()


if __name__ == "__main__":
    main()
